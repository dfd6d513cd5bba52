#include "storage/room_guard.h"

#include <thread>

namespace tributary {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr uint64_t room_kept =
    1 << 20;  // beyond what is appended: for a file's end, its name, what others write meanwhile
constexpr std::chrono::milliseconds poll_interval{50};

class GuardedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  GuardedFile(std::unique_ptr<rocksdb::FSWritableFile> file, RoomGuard& guard)
      : FSWritableFileOwnerWrapper(std::move(file)), guard_(guard) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    guard_.wait_for_room(data.size());
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    guard_.wait_for_room(data.size());
    return FSWritableFileOwnerWrapper::Append(data, options, verification, debug);
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    guard_.wait_for_room(data.size());
    return FSWritableFileOwnerWrapper::PositionedAppend(data, offset, options, debug);
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            const rocksdb::DataVerificationInfo& verification, IODebugContext* debug) override {
    guard_.wait_for_room(data.size());
    return FSWritableFileOwnerWrapper::PositionedAppend(data, offset, options, verification, debug);
  }

 private:
  RoomGuard& guard_;
};

IOStatus guarded(RoomGuard& guard, IOStatus opened, std::unique_ptr<rocksdb::FSWritableFile>* file) {
  if (opened.ok()) *file = std::make_unique<GuardedFile>(std::move(*file), guard);
  return opened;
}

}  // namespace

void RoomGuard::wait_for_room(size_t bytes) {
  while (true) {
    std::optional<uint64_t> free = free_bytes_();
    if (!free || *free >= bytes + room_kept) return;
    if (std::chrono::steady_clock::now() >= give_up_at_.load()) return;
    std::this_thread::sleep_for(poll_interval);
  }
}

IOStatus RoomGuard::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  return guarded(*this, FileSystemWrapper::NewWritableFile(name, options, file, debug), file);
}

IOStatus RoomGuard::ReopenWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  return guarded(*this, FileSystemWrapper::ReopenWritableFile(name, options, file, debug), file);
}

IOStatus RoomGuard::ReuseWritableFile(const std::string& name, const std::string& old_name,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  return guarded(*this, FileSystemWrapper::ReuseWritableFile(name, old_name, options, file, debug), file);
}

}  // namespace tributary
