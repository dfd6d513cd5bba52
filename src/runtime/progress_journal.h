// ProgressJournal: when the log, processing and the analytics got how far, by partition of the log. From it an event's place in
// the log tells when it was captured, processed and stored, as exactly as it was looked at: once a second while something moves.
//
//   ProgressJournal journal(storage);
//   RETURN_IF_ERROR(journal.note(now, {.captured = log.ends(), .processed = …, .stored = …}));  // each second
//   RETURN_IF_ERROR(journal.thin(now));                                                         // now and then
//   ASSIGN_OR_RETURN(EventTimes times, times_of(storage, {"orders", PartitionId{3}}, Offset{17}));
//
// Bounded: after an hour an entry a minute is kept, after a day one an hour, after 30 days none. One thread; times_of() is
// thread-safe.
#pragma once

#include <map>
#include <optional>

#include "contracts/event_log.h"
#include "storage/storage.h"

namespace tributary {

// Offsets before which everything is there.
struct Progress {
  std::map<TopicPartition, Offset> captured;
  std::map<TopicPartition, Offset> processed;
  std::map<TopicPartition, Offset> stored;
};

// It happened between two looks, microseconds since 1970.
struct SeenBetween {
  int64_t after_micros = 0;  // 0: nobody looked before
  int64_t by_micros = 0;
  friend bool operator==(const SeenBetween&, const SeenBetween&) = default;
};

struct EventTimes {
  std::optional<SeenBetween> captured;  // nullopt: not yet, or it is forgotten
  std::optional<SeenBetween> processed;
  std::optional<SeenBetween> stored;
};

class ProgressJournal {
 public:
  explicit ProgressJournal(Storage& storage) : storage_(storage) {}

  // Writes an entry of each partition that moved since the last call.
  Status note(int64_t now_micros, const Progress& now);
  Status thin(int64_t now_micros);

 private:
  Storage& storage_;
  int64_t looked_micros_ = 0;
  std::map<TopicPartition, std::string> known_;  // the newest entries' offsets
};

Result<EventTimes> times_of(const Storage& storage, const TopicPartition& partition, Offset offset);

}  // namespace tributary
