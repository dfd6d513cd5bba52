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

// A write for which the room that was seen is taken by others meanwhile leaves a part of its bytes, and the file's place behind
// them. From then on writes say where they go.
class GuardedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  // `fresh`: it was empty when it was opened, and writes may say where they go.
  GuardedFile(std::unique_ptr<rocksdb::FSWritableFile> file, RoomGuard& guard, bool fresh)
      : FSWritableFileOwnerWrapper(std::move(file)), guard_(guard), fresh_(fresh) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus written = guard_.when_there_is_room(data.size(), [&] {
      if (placed_) return FSWritableFileOwnerWrapper::PositionedAppend(data, size_, options, debug);
      IOStatus appended = FSWritableFileOwnerWrapper::Append(data, options, debug);
      placed_ = appended.IsNoSpace();
      return placed_ && !fresh_ ? IOStatus::IOError(appended.ToString()) : appended;
    });
    if (written.ok()) size_ += data.size();
    return written;
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    return guard_.when_there_is_room(
        data.size(), [&] { return FSWritableFileOwnerWrapper::PositionedAppend(data, offset, options, debug); });
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            const rocksdb::DataVerificationInfo&, IODebugContext* debug) override {
    return PositionedAppend(data, offset, options, debug);
  }

 private:
  RoomGuard& guard_;
  const bool fresh_;
  bool placed_ = false;
  uint64_t size_ = 0;
};

}  // namespace

IOStatus RoomGuard::when_there_is_room(size_t bytes, const std::function<IOStatus()>& write) {
  auto pause = [this] {
    bool waits = std::chrono::steady_clock::now() < give_up_at_.load();
    if (waits) std::this_thread::sleep_for(poll_interval);
    return waits;
  };
  while (true) {
    std::optional<uint64_t> free = free_bytes_();
    if (free && *free < bytes + room_kept && pause()) continue;
    IOStatus written = write();
    if (!written.IsNoSpace() || !pause()) return written;
  }
}

IOStatus RoomGuard::open(bool fresh, std::unique_ptr<rocksdb::FSWritableFile>* file,
                         const std::function<IOStatus()>& make) {
  IOStatus opened = when_there_is_room(0, make);
  if (opened.ok()) *file = std::make_unique<GuardedFile>(std::move(*file), *this, fresh);
  return opened;
}

IOStatus RoomGuard::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  return open(true, file, [&] { return FileSystemWrapper::NewWritableFile(name, options, file, debug); });
}

// Such a file is opened for appending: the system puts each write at its end.
IOStatus RoomGuard::ReopenWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  return open(false, file, [&] { return FileSystemWrapper::ReopenWritableFile(name, options, file, debug); });
}

IOStatus RoomGuard::ReuseWritableFile(const std::string& name, const std::string& old_name,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  return open(true, file, [&] { return FileSystemWrapper::ReuseWritableFile(name, old_name, options, file, debug); });
}

IOStatus RoomGuard::RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                               IODebugContext* debug) {
  return when_there_is_room(0, [&] { return FileSystemWrapper::RenameFile(from, to, options, debug); });
}

}  // namespace tributary
