// Storage: the one RocksDB of a pipeline, in which log, raw store, state and outbox are column families, so that a
// round commits all of them in one atomic write. RocksDB's headers are included in this folder only.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Storage> storage, Storage::open(directory.db(), {}));
//   StorageBatch batch;
//   batch.put(Family::kState, key, value);
//   batch.remove_range(Family::kOutbox, first, behind_last);
//   RETURN_IF_ERROR(storage->write(batch));     // durable
//
// Storage is thread-safe; StorageBatch and StorageIterator belong to one thread at a time. Iterators must be gone before
// their Storage.
//
// Errors. kCorrupt: bytes on disk fail their checksum; the message names the file, or the family and key. kResourceExhausted: the disk is full;
// nothing of the write is there; try again, it goes on once there is room. A full disk is seen before it is reached, by
// `disk_reserve_bytes`. A write or sync that fails on the way ends the process (exit code 74, EX_IOERR) with a message:
// after a failed fsync nobody knows what is on disk until it is read again. Started again, it continues from what is durable.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace tributary {

// Column families. Names on disk are fixed (docs/formats/data-directory.md).
enum class Family : uint8_t {
  kMeta,  // small facts: offsets, source states, schemas, checkpoints; key prefixes in data-directory.md
  kLog,  // blocks of the log
  kLogIndex,  // an entry a block of the log
  kRaw,  // blocks of the raw store
  kRawIndex,  // an entry a block of the raw store
  kState,  // keyed state of processing
  kOutbox,  // what was committed and not yet acknowledged by the stores
};
constexpr size_t family_count = 7;
std::string_view family_name(Family family);

// Changes that become true together, in the order they were added.
class StorageBatch {
 public:
  void put(Family family, std::string_view key, std::string_view value) { put(family, key, value, {}); }
  // The value is `head` and then `tail`.
  void put(Family family, std::string_view key, std::string_view head, std::string_view tail);
  void remove(Family family, std::string_view key);
  // All keys in [low, high).
  void remove_range(Family family, std::string_view low, std::string_view high);

  bool empty() const { return pieces_.empty(); }
  size_t bytes() const { return bytes_; }
  void clear();

 private:
  friend class Storage;
  enum class Kind : uint8_t { kPut, kRemove, kRemoveRange };
  void add(Family family, Kind kind, std::string_view key, std::string_view head, std::string_view tail);

  // Whole changes, one after the other: family, kind, key, value. In pieces, so that a batch grows without being copied.
  std::vector<std::string> pieces_;
  size_t bytes_ = 0;
};

// Keys of one family that start with a prefix, in byte order, as they were when the iterator was made.
//
//   for (StorageIterator it = storage.iterate(Family::kLog, prefix); it.valid(); it.next()) use(it.key(), it.value());
//   RETURN_IF_ERROR(it.status());              // valid() is also false after an error
class StorageIterator {
 public:
  StorageIterator(StorageIterator&&) noexcept;
  StorageIterator& operator=(StorageIterator&&) noexcept;
  ~StorageIterator();

  bool valid() const;
  std::string_view key() const;  // with the prefix; valid until the iterator moves
  std::string_view value() const;  // likewise
  void next();
  void previous();
  void seek(std::string_view key);  // the first key >= `key`
  void seek_at_or_before(std::string_view key);  // the last key <= `key`
  void seek_to_last();
  Status status() const;

 private:
  friend class Storage;
  struct State;
  explicit StorageIterator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct StorageOptions {
  size_t cache_bytes = 32 << 20;  // blocks, indexes and filters read from disk, for all families together
  size_t write_buffer_bytes = 64 << 20;  // written and not yet in a table file, for all families together
  int background_threads = 2;
  // Writes are refused when the disk has less free than this: room for what is in memory to be written out.
  uint64_t disk_reserve_bytes = 96 << 20;
  rocksdb::Env* env = nullptr;  // another file system, for tests of its faults; outlives the storage
};

struct WriteMode {
  bool sync = true;  // false: survives a kill of the process, not of the machine
  bool use_reserve = false;  // true: for writes that make room
};

class Storage {
 public:
  // Opens or creates. kAlreadyExists: another process has it open. kUnsupported: a column family we do not know.
  static Result<std::unique_ptr<Storage>> open(const std::filesystem::path& path, const StorageOptions& options);
  ~Storage();

  // All of `batch` or nothing; readers see it once it is durable (with `sync`). `batch` keeps its content, so that the
  // caller can try again after kResourceExhausted.
  Status write(const StorageBatch& batch, WriteMode mode = {});
  // The same, for who cannot use the batch again: it is gone piece by piece, and not held twice.
  Status write(StorageBatch&& batch, WriteMode mode = {});

  Result<std::optional<std::string>> get(Family family, std::string_view key) const;
  // One result a key, in the keys' order. One call reads from disk what a loop of get() would read one by one.
  Result<std::vector<std::optional<std::string>>> multi_get(Family family, std::span<const std::string> keys) const;

  // At the first key with `prefix`, not before `from`; an empty prefix is the whole family. Where much was removed at the
  // front, `from` spares reading what is not there.
  StorageIterator iterate(Family family, std::string_view prefix, std::string_view from = {}) const;

  // A write that has begun waits where somebody else has filled the disk to the last byte, and so do those behind it: not
  // longer than this. Then the process ends as above.
  void give_up_at(std::chrono::steady_clock::time_point when);

  // Writes memory to table files: for tests, and before a copy of the directory.
  Status flush();
  // Merges table files in [low, high), so that removed ranges give their space back.
  Status compact(Family family, std::string_view low, std::string_view high);
  // Bytes on disk, approximately.
  uint64_t disk_bytes(Family family) const;

 private:
  struct State;
  explicit Storage(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tributary
