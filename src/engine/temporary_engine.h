// An engine on a folder of its own under the system's temporary one, for tests and benchmarks. The program that uses it
// must answer the engine command in its main() (engine_child.h).
#pragma once

#include <memory>
#include <string>

#include "engine/engine_process.h"

namespace tributary {

class TemporaryEngine {
 public:
  TemporaryEngine();  // CHECKs that it starts
  ~TemporaryEngine();  // stops it and removes the folder

  // One for all tests of a process.
  static TemporaryEngine& shared();

  EngineProcess& process() { return *process_; }
  const std::string& socket() const { return process_->socket_path(); }
  const std::string& directory() const { return directory_; }

  // SIGKILL, and waits until the next child answers.
  void kill_and_wait();
  // Stops it as the program would, and starts it again.
  void restart();

 private:
  void start();

  std::string directory_;
  std::unique_ptr<EngineProcess> process_;
};

}  // namespace tributary
