// What a stage says of itself, for `tributary status`. Plain data: stages fill it, app/ joins and prints it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/strong.h"
#include "model/position.h"

namespace tributary {

enum class SourceMode : uint8_t {
  kConnecting,
  kSnapshot,     // reading tables, the stream beside it
  kBulk,         // draining a backlog by peeking
  kStreaming,
  kBackingOff,   // the source is away; will be tried again
  kStopped,      // needs a person: see reason and remedy
  kStandby,      // another node reads it, and this one is ready to
};

struct SnapshotProgress {
  std::string table;
  uint64_t rows_read = 0;
  uint64_t rows_estimated = 0;
  double fraction = 0;            // 0..1
  std::optional<double> seconds_left;
};

struct SourceStatus {
  ClientId client;
  SourceMode mode = SourceMode::kConnecting;
  std::string reason;   // why it is stopped or backing off; empty otherwise
  std::string remedy;   // what a person can do about it
  std::vector<std::string> warnings;  // tables set aside, and the like
  uint64_t events_captured = 0;       // since the program started
  uint64_t bytes_captured = 0;
  std::optional<uint64_t> lag_bytes;  // source's head − confirmed, in log bytes
  // Of a connector's topics: messages behind those that are durable in the log, of other clients too where topics are shared.
  std::optional<uint64_t> lag_messages;
  std::optional<uint64_t> retained_wal_bytes;
  int64_t last_commit_micros = 0;  // commit time of the newest durable event
  Position durable;  // newest position that is durable in the log
  std::vector<SnapshotProgress> snapshots;
  uint64_t rows_per_second_max = 0;  // what the client is held to; 0: nothing
  bool held = false;  // more could be read at the moment, and waits because of that
};

}  // namespace tributary
