#include "app/scratch_folder.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace tributary {
namespace {

constexpr timespec look_again{.tv_sec = 0, .tv_nsec = 50'000'000};

}  // namespace

ScratchFolder::ScratchFolder(const std::string& name) {
  sigemptyset(&signals_);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action{};
    sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) sigaddset(&signals_, signal);  // nohup
  }
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::string pattern = (std::filesystem::temp_directory_path() / (name + "-XXXXXX")).string();
  if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  watcher_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      int signal = sigtimedwait(&signals_, nullptr, &look_again);
      if (signal <= 0) continue;
      remove();
      // Ends as it would have without us.
      ::signal(signal, SIG_DFL);
      pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
      ::raise(signal);
    }
  });
}

ScratchFolder::~ScratchFolder() {
  watcher_.request_stop();
  watcher_.join();
  remove();
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
}

void ScratchFolder::remove() const {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace tributary
