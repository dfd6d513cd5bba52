#include "app/server_runs.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <random>
#include <sstream>

namespace tributary {

Result<std::unique_ptr<ServerRuns>> ServerRuns::open(Storage& storage, const std::string& server) {
  std::unique_ptr<ServerRuns> made(new ServerRuns(storage, "runtime/server_run/" + server));
  ASSIGN_OR_RETURN(std::optional<std::string> stored, storage.get(Family::kMeta, made->key_));
  std::istringstream lines(stored.value_or(""));
  for (std::string run; std::getline(lines, run);) made->runs_.push_back(std::move(run));
  return made;
}

bool ServerRuns::knows(std::string_view run) const {
  std::lock_guard lock(mutex_);
  return std::find(runs_.begin(), runs_.end(), run) != runs_.end();
}

Result<std::string> ServerRuns::begin() {
  std::lock_guard lock(mutex_);
  if (!now_.empty()) return now_;
  std::random_device random;
  std::string run = fmt::format("{:08x}{:08x}", random(), random());
  std::vector<std::string> runs = runs_;
  runs.push_back(run);
  RETURN_IF_ERROR(keep(runs));
  now_ = run;
  return run;
}

Status ServerRuns::settle() {
  std::lock_guard lock(mutex_);
  return runs_.size() == 1 ? Status() : keep({now_});
}

Status ServerRuns::keep(const std::vector<std::string>& runs) {
  StorageBatch write;
  write.put(Family::kMeta, key_, fmt::format("{}", fmt::join(runs, "\n")));
  RETURN_IF_ERROR(storage_.write(write));
  runs_ = runs;
  return {};
}

}  // namespace tributary
