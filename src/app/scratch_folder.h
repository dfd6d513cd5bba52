// A folder for what a command needs while it runs. It may hold clients' rows, so it goes also when the command is ended by
// SIGINT, SIGTERM or SIGHUP.
#pragma once

#include <signal.h>

#include <string>
#include <thread>

namespace tributary {

// One at a time, made before other threads are: they inherit that the signals are blocked.
class ScratchFolder {
 public:
  // Under the system's folder for temporary files; path() is empty where none could be made.
  explicit ScratchFolder(const std::string& name);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  void remove() const;

  std::string path_;
  sigset_t signals_;
  std::jthread watcher_;
};

}  // namespace tributary
