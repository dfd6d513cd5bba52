#include "engine/engine_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/engine_child.h"
#include "engine/engine_config.h"
#include "engine/engine_socket.h"

namespace tributary {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds poll_interval{5};
constexpr milliseconds restart_wait_max{10'000};
constexpr uint64_t first_starts_max = 3;
constexpr milliseconds settled_after{30'000};  // a child that lived so long is restarted without a wait
constexpr milliseconds lock_wait{5'000};       // for the child of a program killed just now to follow it
constexpr uintmax_t log_bytes_max = 16 << 20;

Error system_error(const std::string& what, int number) {
  return Error{number == ENOSPC ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable,
               fmt::format("{}: {}", what, std::strerror(number))};
}

std::string program_path() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).string();
}

Result<std::string> find_library(const std::string& given) {
  if (!given.empty()) return given;
  fs::path beside = fs::path(program_path()).parent_path();
  for (const char* place : {"lib/libchdb.so", "../lib/libchdb.so", "libchdb.so", "../lib/tributary/libchdb.so"}) {
    std::error_code error;
    if (fs::exists(beside / place, error)) return fs::weakly_canonical(beside / place, error).string();
  }
  return Error{ErrorCode::kNotFound,
               fmt::format("libchdb.so is neither in {0}/lib nor in {0}/../lib; run ./dev setup", beside.string())};
}

// The descriptor that holds the lock, open over exec.
Result<int> take_lock(const std::string& path) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return system_error("cannot open " + path, errno);
  auto deadline = steady_clock::now() + lock_wait;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    long holder = 0;
    std::ifstream(path) >> holder;
    bool alive = holder > 0 && (kill(static_cast<pid_t>(holder), 0) == 0 || errno == EPERM);
    if (alive || steady_clock::now() > deadline) {
      close(fd);
      return Error{ErrorCode::kAlreadyExists, fmt::format("{} is in use by process {}; stop that one first",
                                                          fs::path(path).parent_path().string(), holder)};
    }
    std::this_thread::sleep_for(poll_interval);
  }
  std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    int reason = errno;
    close(fd);
    return system_error("cannot write " + path, reason);
  }
  return fd;
}

Status make_directories(const std::string& root) {
  for (const char* name : {"", "/run", "/config", "/data", "/empty"}) {
    std::error_code error;
    fs::create_directories(root + name, error);
    if (error) return system_error("cannot make " + root + name, error.value());
    if (chmod((root + name).c_str(), 0700) != 0) return system_error("cannot set the mode of " + root + name, errno);
  }
  return {};
}

}  // namespace

// One thread, which is the child's parent in every sense (a child's death signal follows the thread that made it).
class EngineProcess::Supervisor {
 public:
  Supervisor(EngineProcessOptions options, int lock)
      : options_(std::move(options)), socket_(socket_of(options_.data_directory)), lock_(lock) {}

  ~Supervisor() {
    stop();
    close(lock_);
  }

  Status start() {
    thread_ = std::thread([this] { supervise(); });
    std::unique_lock lock(mutex_);
    auto decided = [&] { return ready_ || failed_; };
    if (options_.start_wait == milliseconds::max()) {
      changed_.wait(lock, decided);
    } else if (!changed_.wait_for(lock, options_.start_wait, decided)) {
      awaited_ = false;
      lock.unlock();
      say(fmt::format("the ClickHouse engine has not answered within {} s; it goes on starting, see {}",
                      std::chrono::duration_cast<std::chrono::seconds>(options_.start_wait).count(), log_path()));
      return {};
    }
    if (failed_) return Error{ErrorCode::kUnavailable, failure_};
    return {};
  }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  void start_again() {
    std::lock_guard lock(mutex_);
    again_ = pid_ > 0;
    changed_.notify_all();
  }

  pid_t pid() const {
    std::lock_guard lock(mutex_);
    return pid_;
  }
  uint64_t starts() const {
    std::lock_guard lock(mutex_);
    return starts_;
  }
  const std::string& socket() const { return socket_; }

 private:
  void say(const std::string& line) {
    if (options_.log) options_.log(line);
  }
  std::string log_path() const { return options_.data_directory + "/engine.log"; }

  void supervise() {
    milliseconds wait{0};
    while (true) {
      auto begun = steady_clock::now();
      Result<pid_t> child = spawn();
      bool killed = false;  // by somebody else
      std::string ended = child.ok() ? watch(*child, killed) : child.error().message;
      std::unique_lock lock(mutex_);
      pid_ = 0;
      if (stopping_) return;
      // A first start that fails by itself is not tried again: the caller hears of it.
      if (!ready_ && awaited_ && !(killed && starts_ < first_starts_max)) {
        failed_ = true;
        failure_ = fmt::format("the ClickHouse engine did not start: {}; see {}", ended, log_path());
        changed_.notify_all();
        return;
      }
      wait = steady_clock::now() - begun > settled_after ? milliseconds(0)
                                                         : std::clamp(wait * 2, milliseconds(100), restart_wait_max);
      lock.unlock();
      say(fmt::format("the ClickHouse engine {}; starting it again in {} ms", ended, wait.count()));
      lock.lock();
      if (changed_.wait_for(lock, wait, [&] { return stopping_; })) return;
    }
  }

  Result<pid_t> spawn() {
    std::error_code ignored;
    if (fs::file_size(log_path(), ignored) > log_bytes_max && !ignored) fs::resize_file(log_path(), 0, ignored);
    std::vector<std::string> arguments = {options_.program,
                                          engine_command,
                                          "--directory=" + options_.data_directory,
                                          "--socket=" + socket_,
                                          "--library=" + options_.library,
                                          fmt::format("--memory-bytes={}", options_.memory_bytes_max),
                                          fmt::format("--threads={}", options_.threads),
                                          fmt::format("--parent={}", getpid())};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    char* environment[] = {nullptr};

    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, log_path().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    posix_spawn_file_actions_adddup2(&files, lock_, 3);  // the directory stays locked until the child is gone too
    posix_spawn_file_actions_addclosefrom_np(&files, 4);
    posix_spawn_file_actions_addchdir_np(&files, (options_.data_directory + "/empty").c_str());
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    // A group of its own: Ctrl-C in the terminal is for the program, which ends the child in its own time.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    pid_t child = 0;
    int error = posix_spawn(&child, options_.program.c_str(), &files, &attributes, argv.data(), environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) return system_error("cannot execute " + options_.program, error);
    std::lock_guard lock(mutex_);
    pid_ = child;
    ++starts_;
    return child;
  }

  // Until the child has ended, by itself or by us; says how.
  std::string watch(pid_t child, bool& killed_by_others) {
    auto begun = steady_clock::now();
    auto term_sent = steady_clock::time_point::max();
    bool killed = false;
    bool answered = false;
    bool too_slow = false;
    while (true) {
      int status = 0;
      if (waitpid(child, &status, WNOHANG) == child) {
        if (too_slow) {
          auto limit = std::chrono::duration_cast<std::chrono::seconds>(options_.start_limit);
          return fmt::format("did not answer within {} s and was killed", limit.count());
        }
        killed_by_others = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !killed;
        return WIFSIGNALED(status) ? fmt::format("was ended by signal {}", WTERMSIG(status))
                                   : fmt::format("exited with {}", WEXITSTATUS(status));
      }
      auto now = steady_clock::now();
      if (!answered && engine_socket_answers(socket_)) {
        answered = true;
        std::lock_guard lock(mutex_);
        ready_ = true;
        changed_.notify_all();
      }
      if (!answered && !killed && now - begun > options_.start_limit) {
        kill(child, SIGKILL);
        killed = too_slow = true;
      }
      std::unique_lock lock(mutex_);
      if (std::exchange(again_, false) && !killed) {
        kill(child, SIGKILL);
        killed = true;
      }
      if (stopping_ && term_sent == steady_clock::time_point::max()) {
        kill(child, SIGTERM);
        term_sent = now;
      }
      if (term_sent != steady_clock::time_point::max() && !killed && now - term_sent > options_.stop_limit) {
        kill(child, SIGKILL);
        killed = true;
      }
      bool waiting = !answered || stopping_;
      changed_.wait_for(lock, waiting ? poll_interval : milliseconds(50), [&] { return stopping_ && !waiting; });
    }
  }

  EngineProcessOptions options_;
  std::string socket_;
  int lock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
  pid_t pid_ = 0;
  uint64_t starts_ = 0;
  bool ready_ = false;
  bool awaited_ = true;  // start() has not returned
  bool failed_ = false;
  bool stopping_ = false;
  bool again_ = false;  // the child is to be killed
  std::string failure_;
};

Result<std::unique_ptr<EngineProcess>> EngineProcess::start(EngineProcessOptions options) {
  std::error_code ignored;
  options.data_directory = fs::absolute(options.data_directory, ignored).lexically_normal().string();
  if (options.program.empty()) options.program = program_path();
  ASSIGN_OR_RETURN(options.library, find_library(options.library));
  if (options.memory_bytes_max == 0) options.memory_bytes_max = default_engine_memory_bytes();
  if (options.threads == 0) options.threads = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
  RETURN_IF_ERROR(make_directories(options.data_directory));
  ASSIGN_OR_RETURN(int lock, take_lock(options.data_directory + "/lock"));
  unlink_engine_socket(socket_of(options.data_directory));  // of a child that was killed
  auto supervisor = std::make_unique<Supervisor>(std::move(options), lock);
  RETURN_IF_ERROR(supervisor->start());
  return std::unique_ptr<EngineProcess>(new EngineProcess(std::move(supervisor)));
}

EngineProcess::EngineProcess(std::unique_ptr<Supervisor> supervisor) : supervisor_(std::move(supervisor)) {}
EngineProcess::~EngineProcess() = default;
void EngineProcess::stop() { supervisor_->stop(); }
void EngineProcess::start_again() { supervisor_->start_again(); }
pid_t EngineProcess::pid() const { return supervisor_->pid(); }
uint64_t EngineProcess::starts() const { return supervisor_->starts(); }
const std::string& EngineProcess::socket_path() const { return supervisor_->socket(); }

std::string EngineProcess::socket_of(const std::string& data_directory) {
  std::error_code ignored;
  return fs::absolute(data_directory, ignored).lexically_normal().string() + "/run/engine.sock";
}

}  // namespace tributary
