#include "storage/storage.h"

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>

#include "base/bytes.h"
#include "base/key_order.h"
#include "storage/room_guard.h"
#include "storage/storage_options.h"

namespace tributary {
namespace {

// How often a full disk is looked at again. Each try flushes memory to disk, and is not free.
constexpr std::chrono::milliseconds resume_interval{200};
constexpr size_t batch_piece_bytes = 1 << 20;
constexpr size_t change_overhead_bytes = 16;  // at most: family, kind, lengths
constexpr size_t keys_read_at_once = 256;  // of a multi_get(): what it holds stays in the processor's cache

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

// RocksDB names a damaged table file, and not a damaged blob file: the family and key say what was wanted.
Error read_error(const rocksdb::Status& status, Family family, std::string_view key) {
  constexpr size_t key_bytes_shown = 64;
  std::string hex;
  for (unsigned char byte : key.substr(0, key_bytes_shown)) hex += fmt::format("{:02x}", byte);
  return storage_error(status, fmt::format("read of {} at key {}", family_name(family), hex));
}

// Nullopt: it cannot be told, and the write itself will say what is wrong.
std::optional<uint64_t> free_bytes_of(const std::filesystem::path& path) {
  struct statvfs disk{};
  if (::statvfs(path.c_str(), &disk) != 0) return std::nullopt;
  return uint64_t{disk.f_bavail} * disk.f_frsize;
}

// The first key behind all keys with `prefix`; empty: there is none.
std::string behind_prefix(std::string_view prefix) {
  std::string bound(prefix);
  while (!bound.empty() && bound.back() == '\xFF') bound.pop_back();
  if (!bound.empty()) bound.back() = static_cast<char>(bound.back() + 1);
  return bound;
}

}  // namespace

std::string_view family_name(Family family) {
  switch (family) {
    case Family::kMeta: return "default";  // RocksDB's own name for the family that always exists
    case Family::kLog: return "log";
    case Family::kLogIndex: return "log_index";
    case Family::kRaw: return "raw";
    case Family::kRawIndex: return "raw_index";
    case Family::kState: return "state";
    case Family::kOutbox: return "outbox";
  }
  CHECK(false, "family {}", static_cast<int>(family));
  return {};
}

void StorageBatch::put(Family family, std::string_view key, std::string_view head, std::string_view tail) {
  add(family, Kind::kPut, key, head, tail);
}
void StorageBatch::remove(Family family, std::string_view key) { add(family, Kind::kRemove, key, {}, {}); }
void StorageBatch::remove_range(Family family, std::string_view low, std::string_view high) {
  add(family, Kind::kRemoveRange, low, high, {});
}

void StorageBatch::clear() {
  pieces_.clear();
  bytes_ = 0;
}

void StorageBatch::add(Family family, Kind kind, std::string_view key, std::string_view head, std::string_view tail) {
  size_t value_bytes = head.size() + tail.size();
  size_t bytes = key.size() + value_bytes + change_overhead_bytes;
  if (pieces_.empty() || pieces_.back().size() + bytes > batch_piece_bytes) {
    // Most batches are small: the first piece grows as it needs.
    pieces_.emplace_back().reserve(std::max(bytes, pieces_.size() > 1 ? batch_piece_bytes : 0));
  }
  std::string& out = pieces_.back();
  size_t before = out.size();
  put_u8(out, static_cast<uint8_t>(family));
  put_u8(out, static_cast<uint8_t>(kind));
  put_string(out, key);
  put_varint(out, value_bytes);
  out.append(head).append(tail);
  bytes_ += out.size() - before;
}

struct StorageIterator::State {
  Family family;
  std::string low;
  std::string high;
  rocksdb::Slice low_slice;   // RocksDB keeps pointers to these
  rocksdb::Slice high_slice;
  std::unique_ptr<rocksdb::Iterator> iterator;
};

StorageIterator::StorageIterator(std::unique_ptr<State> state) : state_(std::move(state)) {}
StorageIterator::StorageIterator(StorageIterator&&) noexcept = default;
StorageIterator& StorageIterator::operator=(StorageIterator&&) noexcept = default;
StorageIterator::~StorageIterator() = default;

bool StorageIterator::valid() const { return state_->iterator->Valid(); }
std::string_view StorageIterator::key() const { return view(state_->iterator->key()); }
std::string_view StorageIterator::value() const { return view(state_->iterator->value()); }
void StorageIterator::next() { state_->iterator->Next(); }
void StorageIterator::previous() { state_->iterator->Prev(); }
void StorageIterator::seek(std::string_view key) { state_->iterator->Seek(slice(key)); }
void StorageIterator::seek_at_or_before(std::string_view key) { state_->iterator->SeekForPrev(slice(key)); }
void StorageIterator::seek_to_last() { state_->iterator->SeekToLast(); }
Status StorageIterator::status() const {
  rocksdb::Status status = state_->iterator->status();
  if (!status.ok()) return read_error(status, state_->family, state_->low);
  return {};
}

struct Storage::State {
  std::filesystem::path path;
  std::shared_ptr<RoomGuard> room_guard;
  std::unique_ptr<rocksdb::Env> env;
  uint64_t disk_reserve_bytes = 0;
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;  // one a Family, in its order
  std::mutex resume_mutex;
  std::chrono::steady_clock::time_point resumed_at;

  rocksdb::ColumnFamilyHandle* handle(Family family) const { return families[static_cast<size_t>(family)]; }

  Status transcribe(std::string_view piece, rocksdb::WriteBatch& out) const;
  static rocksdb::WriteBatch room_for(const StorageBatch& batch) {
    return rocksdb::WriteBatch(batch.bytes() + batch.bytes() / 8 + 64);
  }
  Status write(rocksdb::WriteBatch& changes, WriteMode mode);
  Status check_room(size_t batch_bytes) const;
  bool try_resume();
  static Status check_room_to_open(const std::filesystem::path& path, uint64_t reserve_bytes);
};

Status Storage::State::check_room(size_t batch_bytes) const {
  std::optional<uint64_t> free_bytes = free_bytes_of(path);
  if (!free_bytes || *free_bytes >= disk_reserve_bytes + batch_bytes) return {};
  return Error{
      ErrorCode::kResourceExhausted,
      fmt::format("storage: the disk of {} has {} MiB free, and {} MiB are held in reserve to write out what is in "
                  "memory; make room, it goes on then",
                  path.string(), *free_bytes >> 20, disk_reserve_bytes >> 20)};
}

Status Storage::State::transcribe(std::string_view piece, rocksdb::WriteBatch& out) const {
  ByteReader reader(piece);
  while (!reader.at_end()) {
    rocksdb::ColumnFamilyHandle* family = handle(static_cast<Family>(reader.u8()));
    auto kind = static_cast<StorageBatch::Kind>(reader.u8());
    rocksdb::Slice key = slice(reader.string());
    rocksdb::Slice value = slice(reader.string());
    rocksdb::Status status;
    switch (kind) {
      case StorageBatch::Kind::kPut: status = out.Put(family, key, value); break;
      case StorageBatch::Kind::kRemove: status = out.Delete(family, key); break;
      case StorageBatch::Kind::kRemoveRange: status = out.DeleteRange(family, key, value); break;
    }
    if (!status.ok()) return storage_error(status, "batch");
  }
  return {};
}

Status Storage::State::write(rocksdb::WriteBatch& changes, WriteMode mode) {
  rocksdb::WriteOptions options;
  options.sync = mode.sync;
  rocksdb::Status status = db->Write(options, &changes);
  if (is_disk_full(status) && try_resume()) status = db->Write(options, &changes);
  if (status.ok()) return {};
  end_process_if_write_is_unsure(status, "write", false);
  return storage_error(status, "write");
}

// After a flush or compaction met a full disk RocksDB refuses every write until it was resumed, by itself after some
// seconds or by us. True: writing may work again.
bool Storage::State::try_resume() {
  std::lock_guard lock(resume_mutex);
  auto now = std::chrono::steady_clock::now();
  if (now - resumed_at < resume_interval) return false;
  resumed_at = now;
  return db->Resume().ok();
}

// Opening writes out what the write-ahead log holds, and RocksDB does not survive a disk that is full in the middle of that.
Status Storage::State::check_room_to_open(const std::filesystem::path& path, uint64_t reserve_bytes) {
  constexpr uint64_t small_files_bytes = 8 << 20;  // manifest, options, a new log
  uint64_t log_bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().extension() != ".log") continue;
    uint64_t bytes = entry.file_size(error);
    if (!error) log_bytes += bytes;
  }
  uint64_t needed = small_files_bytes + std::min(log_bytes, reserve_bytes);
  std::optional<uint64_t> free_bytes = free_bytes_of(path);
  if (!free_bytes || *free_bytes >= needed) return {};
  return Error{
      ErrorCode::kResourceExhausted,
      fmt::format("storage: {} was not opened: its disk has {} MiB free, and up to {} MiB are needed to write out "
                  "what its log holds; nothing is lost, make room and start again",
                  path.string(), *free_bytes >> 20, needed >> 20)};
}

Result<std::unique_ptr<Storage>> Storage::open(const std::filesystem::path& path, const StorageOptions& options) {
  RETURN_IF_ERROR(State::check_room_to_open(path, options.disk_reserve_bytes));
  rocksdb::DBOptions database = database_options(options);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = family_descriptors(options);
  std::vector<std::string> existing;
  if (std::error_code error; std::filesystem::exists(path / "CURRENT", error)) {
    rocksdb::Status status = rocksdb::DB::ListColumnFamilies(database, path.string(), &existing);
    if (!status.ok()) return storage_error(status, fmt::format("open {}", path.string()));
  }
  for (const std::string& name : existing) {
    bool known = false;
    for (const auto& descriptor : descriptors) known |= descriptor.name == name;
    if (!known) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("storage: {} has a column family '{}' that this program does not know; it was written "
                               "by a newer one, use that",
                               path.string(), name)};
    }
  }
  auto state = std::make_unique<State>();
  state->path = path;
  state->disk_reserve_bytes = options.disk_reserve_bytes;
  rocksdb::Env* base = database.env == nullptr ? rocksdb::Env::Default() : database.env;
  state->room_guard = std::make_shared<RoomGuard>(base->GetFileSystem(), [path] { return free_bytes_of(path); });
  state->env = rocksdb::NewCompositeEnv(state->room_guard);
  database.env = state->env.get();
  rocksdb::DB* db = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(database, path.string(), descriptors, &state->families, &db);
  state->db.reset(db);
  if (!status.ok()) return storage_error(status, fmt::format("open {}", path.string()));
  return std::unique_ptr<Storage>(new Storage(std::move(state)));
}

Storage::Storage(std::unique_ptr<State> state) : state_(std::move(state)) {}

Storage::~Storage() {
  for (rocksdb::ColumnFamilyHandle* family : state_->families) state_->db->DestroyColumnFamilyHandle(family);
  state_->db->Close();
}

Status Storage::write(const StorageBatch& batch, WriteMode mode) {
  if (!mode.use_reserve) RETURN_IF_ERROR(state_->check_room(batch.bytes()));
  rocksdb::WriteBatch changes = State::room_for(batch);
  for (const std::string& piece : batch.pieces_) RETURN_IF_ERROR(state_->transcribe(piece, changes));
  return state_->write(changes, mode);
}

Status Storage::write(StorageBatch&& batch, WriteMode mode) {
  if (!mode.use_reserve) RETURN_IF_ERROR(state_->check_room(batch.bytes()));
  rocksdb::WriteBatch changes = State::room_for(batch);
  for (std::string& piece : batch.pieces_) {
    RETURN_IF_ERROR(state_->transcribe(piece, changes));
    piece = std::string();
  }
  batch.clear();
  return state_->write(changes, mode);
}

void Storage::give_up_at(std::chrono::steady_clock::time_point when) { state_->room_guard->give_up_at(when); }

Result<std::optional<std::string>> Storage::get(Family family, std::string_view key) const {
  std::string value;
  rocksdb::Status status = state_->db->Get({}, state_->handle(family), slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return read_error(status, family, key);
  return std::optional(std::move(value));
}

Result<std::vector<std::optional<std::string>>> Storage::multi_get(Family family,
                                                                   std::span<const std::string> keys) const {
  // RocksDB compares whole keys, by a virtual call each, to bring them in order.
  std::vector<uint32_t> order = key_order(std::vector<std::string_view>(keys.begin(), keys.end()));
  std::vector<std::optional<std::string>> out(keys.size());
  std::array<rocksdb::Slice, keys_read_at_once> slices;
  std::array<rocksdb::PinnableSlice, keys_read_at_once> values;
  std::array<rocksdb::Status, keys_read_at_once> statuses;
  const rocksdb::Snapshot* snapshot = keys.size() > keys_read_at_once ? state_->db->GetSnapshot() : nullptr;
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  Status status;
  for (size_t first = 0; first < keys.size() && status.ok(); first += keys_read_at_once) {
    size_t count = std::min(keys_read_at_once, keys.size() - first);
    for (size_t i = 0; i < count; ++i) slices[i] = keys[order[first + i]];
    state_->db->MultiGet(options, state_->handle(family), count, slices.data(), values.data(), statuses.data(), true);
    for (size_t i = 0; i < count; ++i) {
      if (statuses[i].ok()) {
        out[order[first + i]].emplace(values[i].data(), values[i].size());
      } else if (!statuses[i].IsNotFound() && status.ok()) {
        status = read_error(statuses[i], family, keys[order[first + i]]);
      }
      values[i].Reset();
    }
  }
  if (snapshot != nullptr) state_->db->ReleaseSnapshot(snapshot);
  RETURN_IF_ERROR(status);
  return out;
}

StorageIterator Storage::iterate(Family family, std::string_view prefix, std::string_view from) const {
  auto state = std::make_unique<StorageIterator::State>();
  state->family = family;
  state->low = prefix;
  state->high = behind_prefix(prefix);
  state->low_slice = state->low;
  state->high_slice = state->high;
  rocksdb::ReadOptions options;
  if (!state->low.empty()) options.iterate_lower_bound = &state->low_slice;
  if (!state->high.empty()) options.iterate_upper_bound = &state->high_slice;
  state->iterator.reset(state_->db->NewIterator(options, state_->handle(family)));
  if (from.empty()) {
    state->iterator->SeekToFirst();
  } else {
    state->iterator->Seek(slice(from));
  }
  return StorageIterator(std::move(state));
}

Status Storage::flush() {
  rocksdb::Status status = state_->db->Flush({}, state_->families);
  if (status.ok()) return {};
  end_process_if_write_is_unsure(status, "flush", false);
  return storage_error(status, "flush");
}

Status Storage::compact(Family family, std::string_view low, std::string_view high) {
  rocksdb::Slice low_slice = slice(low);
  rocksdb::Slice high_slice = slice(high);
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  rocksdb::Status status =
      state_->db->CompactRange(options, state_->handle(family), &low_slice, high.empty() ? nullptr : &high_slice);
  if (!status.ok()) return storage_error(status, "compact");
  return {};
}

uint64_t Storage::disk_bytes(Family family) const {
  uint64_t tables = 0;
  uint64_t blobs = 0;
  state_->db->GetIntProperty(state_->handle(family), rocksdb::DB::Properties::kLiveSstFilesSize, &tables);
  state_->db->GetIntProperty(state_->handle(family), rocksdb::DB::Properties::kLiveBlobFileSize, &blobs);
  return tables + blobs;
}

}  // namespace tributary
