// RawStore: every event nearly as it came, for replay, trace and debugging. Embedded on RocksDB, or MongoDB.
//
// A set keyed by (client, source position, kind, row key): writing an event twice changes nothing.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "contracts/event_log.h"

namespace tributary {

struct RawQuery {
  ClientId client;
  std::string domain;                       // empty: all
  std::set<std::string> keys;               // row key bytes, any of them; empty: all
  std::optional<Position> after;            // only what is newer
  std::optional<Position> up_to;            // only what is not newer
  std::optional<int64_t> from_micros;       // commit time, inclusive
  std::optional<int64_t> to_micros;         // exclusive
};

struct RawPiece {
  std::vector<EventBatch> batches;
  std::string cursor;  // where to go on
  bool end = false;    // there is nothing behind
};

class RawStore {
 public:
  virtual ~RawStore() = default;

  // Adds the events of these log blocks; durable when it returns.
  virtual Status write(std::span<const LogBlock> blocks) = 0;

  // Gives matching events to `visit` in the order of their blocks, until it returns false.
  virtual Status read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) = 0;

  // How many events there are of a client's domain, about: for progress.
  virtual Result<uint64_t> count(const ClientId& client, const std::string& domain) = 0;

  // All events of a client's domain, piece by piece: from `cursor` (as an earlier call gave it; empty: the start), whole
  // blocks until `bytes_max` is passed. Events added meanwhile may be in a later piece or not.
  virtual Result<RawPiece> scan(const ClientId& client, const std::string& domain, const std::string& cursor,
                                size_t bytes_max) = 0;
};

}  // namespace tributary
