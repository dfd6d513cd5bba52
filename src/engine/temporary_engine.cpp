#include "engine/temporary_engine.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "engine/engine_socket.h"

namespace tributary {

TemporaryEngine::TemporaryEngine() {
  std::string pattern = (std::filesystem::temp_directory_path() / "tributary-engine-XXXXXX").string();
  CHECK(mkdtemp(pattern.data()) != nullptr, "no temporary folder {}", pattern);
  directory_ = pattern;
  start();
}

TemporaryEngine::~TemporaryEngine() {
  process_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

TemporaryEngine& TemporaryEngine::shared() {
  static TemporaryEngine engine;
  return engine;
}

void TemporaryEngine::start() {
  auto started =
      EngineProcess::start({.data_directory = directory_ + "/analytics", .memory_bytes_max = uint64_t{2} << 30});
  CHECK(started.ok(), "{}", started.error().to_string());
  process_ = std::move(started).value();
}

void TemporaryEngine::restart() {
  process_.reset();
  start();
}

void TemporaryEngine::kill_and_wait() {
  uint64_t starts = process_->starts();
  CHECK(process_->pid() > 0);
  process_->start_again();
  for (int i = 0; i < 12'000; ++i) {
    if (process_->starts() > starts && engine_socket_answers(socket())) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(false, "the engine did not come back within 60 s");
}

}  // namespace tributary
