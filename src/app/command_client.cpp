#include <array>
#include <cstdio>

#include "app/commands.h"
#include "app/control.h"
#include "app/log_choice.h"

namespace tributary {

int client_reset_command(const std::string& file, const std::string& client) {
  auto loaded = load_or_complain(file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!pipeline.clients.contains(client)) {
    std::fprintf(stderr, "tributary: %s has no client %s\n", file.c_str(), client.c_str());
    return exit_usage;
  }
  LogAppend mark = reset_mark(ClientId{client});
  bool by_connector = pipeline.clients.at(client).source.scheme == "debezium+kafka";
  const char* what = by_connector
                         ? "what its connector's topics hold from here on counts later than all before (let the "
                           "connector take a snapshot),"
                         : "its slot is made again and all of its tables are read again,";
  if (is_kafka(pipeline.log)) {
    // Whoever captures the client learns of it from the log.
    auto log = open_kafka_log(pipeline, Stages::kAll);
    if (!log.ok()) return print_error(log.error());
    if (Status marked = (*log)->append(std::array{mark}); !marked.ok()) return print_error(marked.error());
    std::printf("client %s: %s at once where a node captures it, else when one does\n", client.c_str(), what);
    return exit_ok;
  }
  if (Status known = check_data_directory(pipeline, "reset"); !known.ok()) return print_error(known.error());
  auto reached = reach_pipeline(pipeline, {});
  if (!reached.ok()) return print_error(reached.error());
  if (reached->running()) {
    auto at_once = control_reset(pipeline, ClientId{client});
    if (!at_once.ok()) return print_error(at_once.error());
    std::printf("client %s: %s %s\n", client.c_str(), what, *at_once ? "at once" : "at the next start of the pipeline");
    return exit_ok;
  }
  if (Status marked = reached->opened->log->append(std::array{mark}); !marked.ok()) return print_error(marked.error());
  std::printf("client %s: %s at the next start\n", client.c_str(), what);
  return exit_ok;
}

}  // namespace tributary
