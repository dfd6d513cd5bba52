// RawStore: every event nearly as it came, for replay, trace and debugging. Embedded on RocksDB, or MongoDB.
//
// A set keyed by (client, domain, source position, kind, row key; of a range fact its bounds): writing an event twice changes
// nothing. What the log has in several partitions (a TRUNCATE is told to each) may be there once or once a partition.
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
  std::string domain;  // empty: all
  std::set<std::string> keys;  // row key bytes, any of them; empty: all
  std::optional<Position> after;  // only what is newer
  std::optional<Position> up_to;  // only what is not newer
  std::optional<int64_t> from_micros;  // commit time, inclusive
  std::optional<int64_t> to_micros;  // exclusive
};

struct RawPiece {
  std::vector<EventBatch> batches;
  std::string cursor;  // where to go on
  bool end = false;  // there is nothing behind
};

// Gives the schema of an event, as EventLog::schema() does. Thread-safe; outlives the store that asks it.
using SchemaLookup = std::function<Result<SchemaPtr>(const ClientId&, const std::string& table, uint32_t version)>;

class RawStore {
 public:
  virtual ~RawStore() = default;

  // Adds the events of these log blocks; durable when it returns. After an error any of them may be there: write them again.
  virtual Status write(std::span<const LogBlock> blocks) = 0;

  // Gives matching events to `visit` domain by domain, in an order of the store's own, until it returns false.
  virtual Status read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) = 0;

  // How many events there are of a client's domain, about: for progress.
  virtual Result<uint64_t> count(const ClientId& client, const std::string& domain) = 0;

  // All events of a client's domain, piece by piece: from `cursor` (as an earlier call gave it; empty: the start), until
  // `bytes_max` is passed. Events added meanwhile may be in a later piece or not.
  virtual Result<RawPiece> scan(const ClientId& client, const std::string& domain, const std::string& cursor,
                                size_t bytes_max) = 0;
};

}  // namespace tributary
