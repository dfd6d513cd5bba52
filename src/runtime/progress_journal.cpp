#include "runtime/progress_journal.h"

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr std::string_view journal_prefix = "runtime/progress/";
constexpr uint8_t format_version = 1;
constexpr size_t time_bytes = 8;  // at a key's end

constexpr int64_t minute = 60'000'000;
constexpr int64_t hour = 60 * minute;
constexpr int64_t day = 24 * hour;
constexpr int64_t kept = 30 * day;

struct Entry {
  int64_t after_micros = 0;  // the look before
  std::string offsets;  // three varints: captured, processed, stored
};

std::string partition_prefix(const TopicPartition& partition) {
  std::string key(journal_prefix);
  put_string(key, partition.topic);
  put_u32_big(key, partition.partition.value);
  return key;
}

std::string key_of(const std::string& prefix, int64_t micros) {
  std::string key = prefix;
  put_u64_big(key, static_cast<uint64_t>(micros));
  return key;
}

int64_t micros_of(std::string_view key) {
  return static_cast<int64_t>(ByteReader(key.substr(key.size() - time_bytes)).u64_big());
}

std::string encode(const Entry& entry) {
  std::string out;
  put_u8(out, format_version);
  put_u64(out, static_cast<uint64_t>(entry.after_micros));
  return out + entry.offsets;
}

Result<Entry> decode(std::string_view value) {
  ByteReader reader(value);
  uint8_t version = reader.u8();
  Entry entry{static_cast<int64_t>(reader.u64()), std::string(reader.rest())};
  if (version != format_version || !reader.ok())
    return Error{ErrorCode::kCorrupt, "a stored entry of the journal of progress does not decode"};
  return entry;
}

Offset offset_in(const std::map<TopicPartition, Offset>& of, const TopicPartition& partition) {
  auto at = of.find(partition);
  return at == of.end() ? Offset{0} : at->second;
}

// Entries of one partition in one of these become one.
int64_t step_of(int64_t micros, int64_t now_micros) {
  int64_t age = now_micros - micros;
  if (age > kept) return -1;
  int64_t step = age > day ? hour : age > hour ? minute : 1;
  return micros / step;
}

}  // namespace

Status ProgressJournal::note(int64_t now_micros, const Progress& now) {
  StorageBatch write;
  std::map<TopicPartition, std::string> moved;
  for (const auto& [partition, end] : now.captured) {
    std::string offsets;
    put_varint(offsets, end.value);
    put_varint(offsets, offset_in(now.processed, partition).value);
    put_varint(offsets, offset_in(now.stored, partition).value);
    auto known = known_.find(partition);
    if (known != known_.end() && known->second == offsets) continue;
    write.put(Family::kMeta, key_of(partition_prefix(partition), now_micros), encode({looked_micros_, offsets}));
    moved[partition] = std::move(offsets);
  }
  if (!write.empty()) RETURN_IF_ERROR(storage_.write(write, {.sync = false}));  // lost with the machine: not told
  for (auto& [partition, offsets] : moved) known_[partition] = std::move(offsets);
  looked_micros_ = now_micros;
  return {};
}

Status ProgressJournal::thin(int64_t now_micros) {
  StorageBatch write;
  std::string last_key;
  int64_t after = 0;  // the look before the first of the entries that become one
  StorageIterator it = storage_.iterate(Family::kMeta, journal_prefix);
  for (; it.valid(); it.next()) {
    std::string key(it.key());
    ASSIGN_OR_RETURN(Entry entry, decode(it.value()));
    int64_t step = step_of(micros_of(key), now_micros);
    bool joins = last_key.size() == key.size() && key.starts_with(last_key.substr(0, last_key.size() - time_bytes)) &&
                 step_of(micros_of(last_key), now_micros) == step;
    if (joins) {
      write.remove(Family::kMeta, last_key);
    } else {
      after = entry.after_micros;
    }
    // What is forgotten happened at any time before.
    if (step < 0) after = 0;
    if (after != entry.after_micros) write.put(Family::kMeta, key, encode({after, entry.offsets}));
    last_key = std::move(key);
  }
  RETURN_IF_ERROR(it.status());
  return write.empty() ? Status() : storage_.write(write, {.sync = false});
}

Result<EventTimes> times_of(const Storage& storage, const TopicPartition& partition, Offset offset) {
  EventTimes times;
  StorageIterator it = storage.iterate(Family::kMeta, partition_prefix(partition));
  for (; it.valid(); it.next()) {
    ASSIGN_OR_RETURN(Entry entry, decode(it.value()));
    ByteReader reader(entry.offsets);
    for (std::optional<SeenBetween>* of : {&times.captured, &times.processed, &times.stored}) {
      bool there = reader.varint() > offset.value;
      if (there && !*of) *of = SeenBetween{entry.after_micros, micros_of(it.key())};
    }
    if (!reader.ok()) return Error{ErrorCode::kCorrupt, "a stored entry of the journal of progress is cut short"};
    if (times.stored) break;
  }
  RETURN_IF_ERROR(it.status());
  return times;
}

}  // namespace tributary
