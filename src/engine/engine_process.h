// The parent's side of the engine child: starts it, waits until it answers, starts it again when it dies.
//
//   auto engine = EngineProcess::start({.data_directory = "./data/analytics"});
//   … ClickHouse's HTTP interface at (*engine)->socket_path() …
//   (*engine)->stop();
//
// What it keeps in its directory:
//   lock         held as long as the child lives; names the program's process id
//   engine.log   the child's stderr, appended; cut when it is over 16 MiB at a start
//   run/         mode 0700, with the socket
//   config/      written at each start
//   data/        ClickHouse's own
//   empty/       the child's working directory
//
// All methods are thread-safe. A child that is killed while it starts for the first time is started again, twice; one that
// dies later is started again at once, then after waits that double up to 10 s;
// meanwhile connections to the socket are refused.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace tributary {

struct EngineProcessOptions {
  std::string data_directory;
  std::string library;  // empty: libchdb.so in lib/ beside the program, or in ../lib
  std::string program;  // empty: this one, by /proc/self/exe
  uint64_t memory_bytes_max = 0;  // 0: half of the machine's, at most 4 GiB
  unsigned threads = 0;  // 0: as many as processors, at most 16
  std::chrono::milliseconds start_limit{600'000};  // a child that does not answer for so long is killed
  std::chrono::milliseconds start_wait = std::chrono::milliseconds::max();  // how long start() waits for an answer
  std::chrono::milliseconds stop_limit{10'000};  // between SIGTERM and SIGKILL
  std::function<void(const std::string&)> log;  // one line each time it starts or dies; called from its own thread
};

class EngineProcess {
 public:
  // Returns when the child answers, or after `start_wait`: then it goes on starting, like one that died. kAlreadyExists:
  // another process has the directory; the message names its id.
  static Result<std::unique_ptr<EngineProcess>> start(EngineProcessOptions options);
  ~EngineProcess();  // stop()
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  // Lets the child finish its requests, then ends it. Nothing that it acknowledged is lost either way.
  void stop();

  // Kills the child, which is then started again like one that died. Unlike an orderly end, this leaves the parts on disk
  // that went into others.
  void start_again();

  pid_t pid() const;  // 0: just not running
  uint64_t starts() const;  // 1 + restarts
  const std::string& socket_path() const;
  // The socket of the engine of `data_directory`, for another process of the same user.
  static std::string socket_of(const std::string& data_directory);

 private:
  class Supervisor;
  explicit EngineProcess(std::unique_ptr<Supervisor> supervisor);
  std::unique_ptr<Supervisor> supervisor_;
};

}  // namespace tributary
