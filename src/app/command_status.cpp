#include <cstdio>

#include "app/commands.h"
#include "app/control.h"
#include "app/json_line.h"
#include "app/status_report.h"
#include "app/view_names.h"

namespace tributary {

int status_command(const std::string& file, bool as_json) {
  auto loaded = load_or_complain(file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  // Before its first run a pipeline has a status; on what this program does not know it says nothing.
  Status known = check_data_directory(pipeline, "show");
  if (!known.ok() && known.error().code != ErrorCode::kNotFound) return print_error(known.error());
  nlohmann::json status = known_status(pipeline);
  std::string text = as_json ? json_line(status) + "\n" : status_text(status);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return exit_ok;
}

int wait_command(const std::string& file, const std::string& client, double seconds) {
  auto loaded = load_or_complain(file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!client.empty() && !knows_client(pipeline, client)) return exit_usage;
  auto holder = DataDirectory::holder(pipeline.data);
  if (!holder || holder->use != DataUse::kRun) {
    return print_error({ErrorCode::kUnavailable,
                        fmt::format("{} does not run, so nothing becomes queryable; `tributary run {}` starts it",
                                    pipeline.name, file)});
  }
  auto reached =
      control_wait(pipeline, ClientId{client}, std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)));
  if (!reached.ok()) return print_error(reached.error());
  if (!client.empty()) std::erase_if(reached->stopped, [&](const std::string& stopped) { return stopped != client; });
  if (!reached->stopped.empty()) {
    std::fprintf(stderr, "tributary: %s\n", stopped_message(file, reached->stopped).c_str());
  }
  if (reached->queryable) return reached->stopped.empty() ? exit_ok : exit_unavailable;
  std::fprintf(stderr, "tributary: not all of it was queryable within %g s; `tributary status` says what waits\n",
               seconds);
  return exit_try_again;
}

}  // namespace tributary
