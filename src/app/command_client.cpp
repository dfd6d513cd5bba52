#include <array>
#include <cstdio>

#include "app/commands.h"
#include "app/control.h"

namespace tributary {

int client_reset_command(const std::string& file, const std::string& client) {
  auto loaded = load_or_complain(file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!pipeline.clients.contains(client)) {
    std::fprintf(stderr, "tributary: %s has no client %s\n", file.c_str(), client.c_str());
    return exit_usage;
  }
  if (Status known = check_data_directory(pipeline, "reset"); !known.ok()) return print_error(known.error());
  auto reached = reach_pipeline(pipeline, {});
  if (!reached.ok()) return print_error(reached.error());
  if (reached->running()) {
    std::fprintf(stderr, "tributary: the pipeline runs; stop it first\n");
    return exit_try_again;
  }
  LogAppend mark{ClientId{client}, {}, {{"reset", "1"}}};
  if (Status marked = reached->opened->log->append(std::array{mark}); !marked.ok()) return print_error(marked.error());
  std::printf("client %s: at the next start its slot is made again and all of its tables are read again\n",
              client.c_str());
  return exit_ok;
}

}  // namespace tributary
