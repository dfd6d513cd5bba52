#include "storage/data_directory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

namespace tributary {
namespace {

namespace fs = std::filesystem;

constexpr const char* command_mark = " command";  // behind the process id
// Bytes of LOCK, each a lock and the beginning of a line that says who has it: who works on the directory, and the `run` that
// does or is about to. So a `run` is known before it works, and commands that begin meanwhile leave the directory to it.
constexpr off_t work_byte = 0;
constexpr off_t run_byte = 32;
constexpr size_t line_bytes = 32;
constexpr std::chrono::seconds wait_for_command{60};
constexpr std::chrono::milliseconds wait_poll{20};
constexpr const char* identity_file = "TRIBUTARY";
constexpr const char* identity_file_new = "TRIBUTARY.new";
constexpr const char* lock_file = "LOCK";
constexpr std::string_view capture_alone = "capture";
constexpr std::string_view first_line = "tributary data directory";
constexpr size_t identity_file_bytes_max = 4096;

Error system_error(int number, std::string what) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (number == EACCES || number == EPERM || number == EROFS) code = ErrorCode::kPermissionDenied;
  if (number == ENOSPC || number == EDQUOT) code = ErrorCode::kResourceExhausted;
  if (number == ENOTDIR || number == ENAMETOOLONG || number == ELOOP) code = ErrorCode::kInvalidInput;
  return {code, fmt::format("{}: {}", what, std::strerror(number))};
}

std::string write_identity(const DataDirectoryIdentity& identity) {
  std::string text = fmt::format("{}\nformat: {}\npipeline: {}\nidentity: {}\ncreated: {}\n", first_line,
                                 identity.format, identity.pipeline, identity.identity, identity.created);
  if (identity.captures_alone) text += fmt::format("stages: {}\n", capture_alone);
  return text;
}

// Only the first two lines are promised to keep their meaning in a newer format.
Result<DataDirectoryIdentity> parse_identity(const fs::path& path, const std::string& text) {
  Error corrupt{ErrorCode::kCorrupt,
                fmt::format("{} is damaged: it should begin with '{}' and 'format: NUMBER'. Restore "
                            "it from a backup of the directory",
                            path.string(), first_line)};
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != first_line) return corrupt;
  DataDirectoryIdentity identity;
  identity.format = 0;
  while (std::getline(lines, line)) {
    size_t colon = line.find(": ");
    if (colon == std::string::npos) return corrupt;
    std::string name = line.substr(0, colon);
    std::string value = line.substr(colon + 2);
    if (name == "format") {
      auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), identity.format);
      if (error != std::errc{} || end != value.data() + value.size()) return corrupt;
    } else if (name == "pipeline") {
      identity.pipeline = value;
    } else if (name == "identity") {
      identity.identity = value;
    } else if (name == "created") {
      identity.created = value;
    } else if (name == "stages") {
      identity.captures_alone = value == capture_alone;
    }
  }
  if (identity.format == 0) return corrupt;
  if (identity.format > data_directory_format) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{} has format {}, and this program knows formats up to {}: it was written by a newer "
                             "tributary, use that. Nothing was changed",
                             path.parent_path().string(), identity.format, data_directory_format)};
  }
  if (identity.pipeline.empty() || identity.identity.size() != 32) return corrupt;
  return identity;
}

Status write_file_durably(const fs::path& directory, const char* name, const std::string& text) {
  fs::path temporary = directory / identity_file_new;
  int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return system_error(errno, fmt::format("cannot create {}", temporary.string()));
  ssize_t written = ::write(file, text.data(), text.size());
  int error = written == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0 ? 0 : errno;
  if (::close(file) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), (directory / name).c_str()) != 0) error = errno;
  if (error != 0) return system_error(error, fmt::format("cannot write {}", (directory / name).string()));
  int folder = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  error = folder >= 0 && ::fsync(folder) == 0 ? 0 : errno;
  if (folder >= 0) ::close(folder);
  if (error != 0) return system_error(error, fmt::format("cannot sync {}", directory.string()));
  return {};
}

Result<DataDirectoryIdentity> make_identity(std::string_view pipeline, bool captures_alone) {
  std::array<unsigned char, 16> random;
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return system_error(errno, "no random numbers from the system");
  }
  DataDirectoryIdentity identity;
  identity.pipeline = pipeline;
  identity.captures_alone = captures_alone;
  for (unsigned char byte : random) identity.identity += fmt::format("{:02x}", byte);
  std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  identity.created = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                                 parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return identity;
}

std::string read_small(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(identity_file_bytes_max, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

std::optional<DataHolder> read_holder(const fs::path& path, off_t at) {
  std::string text = read_small(path);
  if (text.size() < static_cast<size_t>(at) + line_bytes) return std::nullopt;
  text = text.substr(static_cast<size_t>(at), line_bytes);
  text.resize(text.find_last_not_of(" \n") + 1);
  DataHolder holder;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), holder.process);
  if (error != std::errc{} || holder.process <= 0) return std::nullopt;
  if (std::string_view(end, text.data() + text.size()) == command_mark) holder.use = DataUse::kCommand;
  return holder;
}

Error in_use(const fs::path& directory, off_t at) {
  std::optional<DataHolder> holder = read_holder(directory / lock_file, at);
  std::string who = "another process";
  if (holder) {
    std::string name = read_small(fmt::format("/proc/{}/comm", holder->process));
    while (!name.empty() && name.back() == '\n') name.pop_back();
    who = fmt::format("process {} ({})", holder->process, name.empty() ? "of unknown name" : name);
  }
  return {ErrorCode::kAlreadyExists,
          fmt::format("{} is using {}; stop it first, or give this pipeline another `data:`", who, directory.string())};
}

// Locks of the open file description: unlike flock() they can be asked for without being taken, so that holder() never
// gets in the way of a process that starts, and unlike fcntl's older ones they exclude the own process too.
struct flock one_byte(short type, off_t at) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  return lock;
}

bool is_locked(int file, off_t at) {
  struct flock lock = one_byte(F_WRLCK, at);
  return ::fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

// Takes one of the two, and says who has it.
Status take_byte(int file, const fs::path& directory, off_t at, DataUse use) {
  struct flock lock = one_byte(F_WRLCK, at);
  if (::fcntl(file, F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) return in_use(directory, at);
    return system_error(errno, fmt::format("cannot lock {}", (directory / lock_file).string()));
  }
  std::string who = fmt::format("{}{}", ::getpid(), use == DataUse::kCommand ? command_mark : "");
  std::string line = fmt::format("{:<{}}\n", who, line_bytes - 1);
  if (::pwrite(file, line.data(), line.size(), at) == static_cast<ssize_t>(line.size())) return {};
  return system_error(errno, fmt::format("cannot write {}", (directory / lock_file).string()));
}

// A `run` is told at once of another one, and waits for a command, which is short.
Status take_bytes(int file, const fs::path& directory, DataUse use, const StopWait& wait) {
  if (use == DataUse::kCommand) {
    if (is_locked(file, run_byte)) return in_use(directory, run_byte);
    return take_byte(file, directory, work_byte, use);
  }
  RETURN_IF_ERROR(take_byte(file, directory, run_byte, use));
  auto deadline = std::chrono::steady_clock::now() + wait_for_command;
  while (true) {
    Status taken = take_byte(file, directory, work_byte, use);
    if (taken.ok() || taken.error().code != ErrorCode::kAlreadyExists) return taken;
    if (std::chrono::steady_clock::now() > deadline) return taken;
    if (!wait) {
      std::this_thread::sleep_for(wait_poll);
    } else if (wait(wait_poll)) {
      return Error{ErrorCode::kCancelled, "told to stop"};
    }
  }
}

// The descriptor that holds the lock. It goes with the process, however that ends.
Result<int> take_lock(const fs::path& directory, DataUse use, const StopWait& wait) {
  fs::path path = directory / lock_file;
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return system_error(errno, fmt::format("cannot open {}", path.string()));
  Status taken = take_bytes(file, directory, use, wait);
  if (taken.ok()) return file;
  ::close(file);
  return std::move(taken).error();
}

// An existing directory that is not ours is left alone, whatever is in it. What a creation that was cut short leaves is ours.
Status check_empty(const fs::path& path) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    fs::path name = entry.path().filename();
    if (name == lock_file || name == identity_file_new || name == "lost+found") continue;
    return Error{
        ErrorCode::kInvalidInput,
        fmt::format("{} is not a data directory of tributary and holds other things ({}): name an empty or new "
                    "directory as `data:`. Nothing was changed",
                    path.string(), name.string())};
  }
  if (error) return system_error(error.value(), fmt::format("cannot read {}", path.string()));
  return {};
}

Status check_pipeline(const fs::path& path, const DataDirectoryIdentity& identity, std::string_view pipeline) {
  if (identity.pipeline == pipeline) return {};
  return Error{ErrorCode::kInvalidInput,
               fmt::format("{} belongs to the pipeline '{}', not to '{}': give each pipeline a `data:` of its own. "
                           "Nothing was changed",
                           path.string(), identity.pipeline, pipeline)};
}

Status check_kind(const fs::path& path, const DataDirectoryIdentity& identity, bool captures_alone) {
  if (identity.captures_alone == captures_alone) return {};
  return Error{
      ErrorCode::kInvalidInput,
      fmt::format("{} is of a node that {}: give each node a `data:` of its own. Nothing was changed", path.string(),
                  identity.captures_alone ? "captures alone, and holds neither state nor analytics"
                                          : "processes, and this one would capture alone")};
}

Status make_folders(const fs::path& path) {
  for (const char* name : {"db", "analytics", "run", "spill"}) {
    fs::path folder = path / name;
    mode_t mode = 0700;
    if (::mkdir(folder.c_str(), mode) != 0 && errno != EEXIST) {
      return system_error(errno, fmt::format("cannot create {}", folder.string()));
    }
  }
  if (::chmod((path / "run").c_str(), 0700) != 0) return system_error(errno, "cannot protect the folder run/");
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path / "spill", error)) {
    fs::remove_all(entry.path(), error);
    if (error) return system_error(error.value(), fmt::format("cannot empty {}", (path / "spill").string()));
  }
  return {};
}

}  // namespace

Result<DataDirectoryIdentity> DataDirectory::inspect(const fs::path& path) {
  fs::path file = path / identity_file;
  if (::access(file.c_str(), R_OK) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return Error{ErrorCode::kNotFound,
                   fmt::format("{} is no data directory: it has no file {}", path.string(), identity_file)};
    }
    return system_error(errno, fmt::format("cannot read {}", file.string()));
  }
  return parse_identity(file, read_small(file));
}

std::optional<DataHolder> DataDirectory::holder(const fs::path& path) {
  int file = ::open((path / lock_file).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  bool runs = is_locked(file, run_byte);
  bool works = is_locked(file, work_byte);
  ::close(file);
  if (!runs && !works) return std::nullopt;
  auto holder = read_holder(path / lock_file, runs ? run_byte : work_byte);
  auto worker = runs && works ? read_holder(path / lock_file, work_byte) : std::nullopt;
  if (holder && worker && worker->process != holder->process) holder->waits_for = worker->process;
  return holder;
}

std::optional<std::string> DataDirectory::why_not_creatable(const fs::path& path) {
  fs::path there = fs::absolute(path).lexically_normal();
  struct stat info{};
  while (::stat(there.c_str(), &info) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) return fmt::format("{}: {}", there.string(), std::strerror(errno));
    if (::lstat(there.c_str(), &info) == 0) return fmt::format("{} is a link to nothing", there.string());
    if (there == there.parent_path()) return std::nullopt;
    there = there.parent_path();
  }
  if (!S_ISDIR(info.st_mode)) return fmt::format("{} is not a directory", there.string());
  struct statfs kind{};
  if (::statfs(there.c_str(), &kind) == 0 && (kind.f_type == PROC_SUPER_MAGIC || kind.f_type == SYSFS_MAGIC)) {
    return fmt::format("{} shows what the kernel knows and takes no files", there.string());
  }
  if (there != fs::absolute(path).lexically_normal() && ::access(there.c_str(), W_OK | X_OK) != 0) {
    return fmt::format("{}: {}", there.string(), std::strerror(errno));
  }
  return std::nullopt;
}

Result<DataDirectory> DataDirectory::open(const fs::path& path, std::string_view pipeline, DataUse use,
                                          bool captures_alone, const StopWait& wait) {
  CHECK(!pipeline.empty() && pipeline.find('\n') == std::string_view::npos);
  // First only look, so that what is not ours stays as it is.
  Result<DataDirectoryIdentity> identity = inspect(path);
  if (!identity.ok() && identity.error().code != ErrorCode::kNotFound) return identity.error();
  if (identity.ok()) {
    RETURN_IF_ERROR(check_pipeline(path, *identity, pipeline));
    if (use == DataUse::kRun) RETURN_IF_ERROR(check_kind(path, *identity, captures_alone));
  } else {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return system_error(error.value(), fmt::format("cannot create {}", path.string()));
    RETURN_IF_ERROR(check_empty(path));
  }
  ASSIGN_OR_RETURN(int lock, take_lock(path, use, wait));
  DataDirectory directory(fs::absolute(path), {}, lock);  // from here on returning gives the lock back

  identity = inspect(path);  // another process may have made it before we had the lock
  if (identity.ok()) {
    RETURN_IF_ERROR(check_pipeline(path, *identity, pipeline));
  } else {
    identity = make_identity(pipeline, captures_alone);
    if (!identity.ok()) return identity.error();
    RETURN_IF_ERROR(write_file_durably(path, identity_file, write_identity(*identity)));
  }
  directory.identity_ = *identity;
  RETURN_IF_ERROR(make_folders(path));
  return directory;
}

DataDirectory::DataDirectory(fs::path path, DataDirectoryIdentity identity, int lock)
    : path_(std::move(path)), identity_(std::move(identity)), lock_(lock) {}

DataDirectory::DataDirectory(DataDirectory&& other) noexcept
    : path_(std::move(other.path_)), identity_(std::move(other.identity_)), lock_(std::exchange(other.lock_, -1)) {}

DataDirectory& DataDirectory::operator=(DataDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(identity_, other.identity_);
  std::swap(lock_, other.lock_);
  return *this;
}

DataDirectory::~DataDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace tributary
