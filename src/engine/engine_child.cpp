#include "engine/engine_child.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "engine/chdb_api.h"
#include "engine/engine_config.h"
#include "engine/engine_sandbox.h"
#include "engine/engine_socket.h"
#include "engine/query_handler.h"

namespace tributary {
namespace {

constexpr size_t connections_max = 64;
constexpr std::chrono::seconds drain_limit{5};

void say(const std::string& line) {
  std::fprintf(stderr, "engine: %s\n", line.c_str());
  std::fflush(stderr);
}

std::map<std::string, std::string> parse_options(int argc, char** argv) {
  std::map<std::string, std::string> options;
  for (int i = 2; i < argc; ++i) {
    std::string_view argument = argv[i];
    size_t equals = argument.find('=');
    if (!argument.starts_with("--") || equals == std::string_view::npos) continue;
    options.emplace(argument.substr(2, equals - 2), argument.substr(equals + 1));
  }
  return options;
}

Status write_file(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::trunc);
  file << content;
  file.close();
  if (!file) return Error{ErrorCode::kResourceExhausted, "cannot write " + path};
  return {};
}

// Connections being served, each by a thread of its own; all of them few and local.
class Connections {
 public:
  // False: as many as there may be.
  bool start(int fd, QueryHandler& handler) {
    std::lock_guard lock(mutex_);
    if (open_ >= connections_max || stopping_) return false;
    ++open_;
    std::thread([this, fd, &handler] {
      serve(fd, handler);
      std::lock_guard done(mutex_);
      --open_;
      changed_.notify_all();
    }).detach();
    return true;
  }
  // Waits until no request is being answered.
  void drain(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    changed_.wait_for(lock, limit, [&] { return busy_ == 0; });
  }

 private:
  void serve(int fd, QueryHandler& handler) {
    HttpConnection connection(fd, {});
    bool more = true;
    while (more) {
      auto head = connection.read_request();
      if (!head.ok()) {
        if (head.error().code != ErrorCode::kCancelled) {
          int status = head.error().code == ErrorCode::kResourceExhausted ? 413 : 400;
          (void)connection.respond({.status = status, .body = head.error().message + "\n"}).ok();
        }
        return;
      }
      if (!enter()) return;
      Status answered = handler.handle(connection, *head);
      more = answered.ok() && head->keep_alive;
      leave();
    }
  }
  bool enter() {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    ++busy_;
    return true;
  }
  void leave() {
    std::lock_guard lock(mutex_);
    --busy_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t open_ = 0;
  size_t busy_ = 0;
  bool stopping_ = false;
};

bool same_user(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

Result<std::vector<std::string>> write_configuration(const std::string& directory, const EngineLimits& limits) {
  std::string users = directory + "/config/users.xml";
  std::string server = directory + "/config/config.xml";
  RETURN_IF_ERROR(write_file(users, engine_users_config(limits)));
  RETURN_IF_ERROR(write_file(server, engine_server_config(limits, users, directory + "/empty")));
  return std::vector<std::string>{"--path=" + directory + "/data", "--config-file=" + server};
}

void accept_until_told(int listener, QueryHandler& handler, Connections& connections) {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  int signals = signalfd(-1, &term, SFD_CLOEXEC);
  while (true) {
    pollfd waits[2] = {{listener, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    if (waits[1].revents != 0) return;
    if (waits[0].revents == 0) continue;
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    if (!same_user(fd)) {
      say("refused a connection of another user");
      close(fd);
    } else if (!connections.start(fd, handler)) {
      HttpConnection full(fd, {});
      (void)full
          .respond({.status = 503,
                    .headers = {{"X-ClickHouse-Exception-Code", "202"}},
                    .body = "Code: 202. DB::Exception: too many connections (TOO_MANY_SIMULTANEOUS_QUERIES)\n"})
          .ok();
    }
  }
}

Status run(const std::map<std::string, std::string>& options) {
  auto option = [&](const char* name) {
    auto at = options.find(name);
    return at == options.end() ? std::string() : at->second;
  };
  RETURN_IF_ERROR(enter_engine_sandbox(static_cast<pid_t>(std::atol(option("parent").c_str()))));
  std::string directory = option("directory");
  EngineLimits limits{.memory_bytes_max = std::strtoull(option("memory-bytes").c_str(), nullptr, 10),
                      .threads = static_cast<unsigned>(std::atoi(option("threads").c_str())),
                      .walls = option("walls") != "none"};
  ASSIGN_OR_RETURN(std::vector<std::string> engine_options, write_configuration(directory, limits));

  // Before any thread is made, so that all inherit it: SIGTERM is only ever read from the signalfd.
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigaddset(&term, SIGPIPE);
  sigprocmask(SIG_BLOCK, &term, nullptr);

  ASSIGN_OR_RETURN(ChdbApi api, ChdbApi::load(option("library")));
  api.set_signal_handlers_enabled(0);
  // One session stays open for the life of the process: the engine shuts down with its last connection.
  ASSIGN_OR_RETURN(EngineSession keeper, EngineSession::open(api, engine_options));
  QueryHandler handler(api, {.engine_options = engine_options});
  ASSIGN_OR_RETURN(int listener, listen_on_engine_socket(option("socket")));
  say(fmt::format("ready, chDB {}", api.version()));

  Connections connections;
  accept_until_told(listener, handler, connections);
  unlink_engine_socket(option("socket"));
  connections.drain(drain_limit);
  say("stopped");
  // Without destructors: every answered INSERT is on disk, and closing the engine under running queries aborts.
  _exit(0);
}

}  // namespace

int run_engine_child(int argc, char** argv) {
  Status status = run(parse_options(argc, argv));
  say(status.ok() ? "ended" : status.error().to_string());
  _exit(status.ok() ? 0 : 70);
}

}  // namespace tributary
