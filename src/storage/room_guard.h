// RoomGuard: the file system under RocksDB, which waits where the disk has no room for what is to be appended. RocksDB does not
// survive a file whose append failed: what it has in memory can then only be read back from its log by a new process.
//
// Storage refuses writes long before (StorageOptions::disk_reserve_bytes); this is for what is on its way then, and for
// flushes and compactions, while somebody else fills the disk. All methods are thread-safe.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace tributary {

class RoomGuard : public rocksdb::FileSystemWrapper {
 public:
  // `directory` exists once something is appended. `free_bytes` is asked for its disk, and nullopt where that cannot be told.
  using FreeBytes = std::function<std::optional<uint64_t>()>;
  RoomGuard(std::shared_ptr<rocksdb::FileSystem> target, FreeBytes free_bytes)
      : FileSystemWrapper(std::move(target)), free_bytes_(std::move(free_bytes)) {}

  const char* Name() const override { return "RoomGuard"; }

  // Does `write` when there is room for `bytes` more, and again where others were faster, or when waiting has an end: then
  // `write` says what is wrong.
  rocksdb::IOStatus when_there_is_room(size_t bytes, const std::function<rocksdb::IOStatus()>& write);
  void give_up_at(std::chrono::steady_clock::time_point when) { give_up_at_ = when; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& name, const std::string& old_name,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  rocksdb::IOStatus open(bool fresh, std::unique_ptr<rocksdb::FSWritableFile>* file,
                         const std::function<rocksdb::IOStatus()>& make);

  FreeBytes free_bytes_;
  std::atomic<std::chrono::steady_clock::time_point> give_up_at_ = std::chrono::steady_clock::time_point::max();
};

}  // namespace tributary
