// The data directory of one pipeline (docs/formats/data-directory.md):
//
//   data/TRIBUTARY   text: format version, pipeline's name, random identity, creation time
//   data/LOCK        held by the process that works on it; its id is in it, and whether it runs the pipeline
//   data/db/         the RocksDB of log, raw store and state
//   data/analytics/  the embedded analytics engine's
//   data/run/        sockets, mode 0700
//   data/spill/      temporary; emptied by open()
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tributary {

constexpr uint32_t data_directory_format = 1;

// What the TRIBUTARY file says.
struct DataDirectoryIdentity {
  uint32_t format = data_directory_format;
  std::string pipeline;
  std::string identity;  // 32 hex digits, made once, never changed
  std::string created;   // "2026-01-31T23:59:59Z"
  bool captures_alone = false;  // of a node that holds neither state nor analytics
};

// What a process works on the directory for: running the pipeline, or one command on a stopped one.
enum class DataUse { kRun, kCommand };

struct DataHolder {
  pid_t process = 0;
  DataUse use = DataUse::kRun;
  std::optional<pid_t> waits_for = {};  // of a run: the command that works on the directory yet
  friend bool operator==(const DataHolder&, const DataHolder&) = default;
};

// Waits for so long; true: the program was told to stop meanwhile.
using StopWait = std::function<bool(std::chrono::milliseconds)>;

// Holds the lock until destroyed. Movable. Not thread-safe beside its const methods.
class DataDirectory {
 public:
  // Makes what is missing, and takes the lock.
  //   kAlreadyExists     another process runs on it: "process 1234 (tributary) is using …"
  //   kUnsupported       written by a newer format; nothing was changed
  //   kInvalidInput      it belongs to another pipeline, or to a node of the other kind, or is a directory with other things
  //                      in it; nothing was changed
  //   kPermissionDenied, kResourceExhausted, kUnavailable: as the file system says
  //   kCancelled         `wait` said so while a run waited for a command; without one it waits up to a minute
  static Result<DataDirectory> open(const std::filesystem::path& path, std::string_view pipeline,
                                    DataUse use = DataUse::kRun, bool captures_alone = false,
                                    const StopWait& wait = {});
  // Why no directory can be made there, as far as looking tells; nullopt where it is one, or can be made.
  static std::optional<std::string> why_not_creatable(const std::filesystem::path& path);

  // Without lock and without changing anything: what a directory says of itself. kNotFound where there is none.
  static Result<DataDirectoryIdentity> inspect(const std::filesystem::path& path);
  // The process that works on it, if one does.
  static std::optional<DataHolder> holder(const std::filesystem::path& path);

  DataDirectory(DataDirectory&& other) noexcept;
  DataDirectory& operator=(DataDirectory&& other) noexcept;
  ~DataDirectory();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path db() const { return path_ / "db"; }
  std::filesystem::path analytics() const { return path_ / "analytics"; }
  std::filesystem::path run() const { return path_ / "run"; }
  std::filesystem::path spill() const { return path_ / "spill"; }
  const DataDirectoryIdentity& identity() const { return identity_; }

 private:
  DataDirectory(std::filesystem::path path, DataDirectoryIdentity identity, int lock);

  std::filesystem::path path_;
  DataDirectoryIdentity identity_;
  int lock_ = -1;  // file descriptor
};

}  // namespace tributary
