#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/control.h"
#include "base/nearest_name.h"

namespace tributary {
namespace {

void write_out(std::string_view part) { std::fwrite(part.data(), 1, part.size(), stdout); }

Status ask(const Pipeline& pipeline, const ClientQuery& query) {
  RETURN_IF_ERROR(check_data_directory(pipeline, "query"));
  // A stopped pipeline's engine is started for the one query.
  ASSIGN_OR_RETURN(Reached reached, reach_pipeline(pipeline, {.engine = true}));
  if (reached.running()) return control_query(pipeline, query, false, write_out);
  return reached.opened->queries->query(query, write_out);
}

// What the answer does not show by itself: rows that stand still since their table changed.
void note_what_stands_still(const Pipeline& pipeline, const std::string& client) {
  auto answer = control_status(pipeline);
  if (!answer.ok()) return;
  nlohmann::json status = nlohmann::json::parse(*answer, nullptr, false);
  if (!status.is_object()) return;
  for (const auto& of : status.value("clients", nlohmann::json::array())) {
    if (of.value("client", "") != client) continue;
    for (const auto& warning : of.value("warnings", nlohmann::json::array())) {
      std::string text = warning.is_string() ? warning.get<std::string>() : "";
      if (!text.starts_with("domain ")) continue;
      std::fprintf(stderr, "note: %s; views show what they had of it before that\n", text.c_str());
    }
  }
}

}  // namespace

int query_command(const QueryOptions& options) {
  auto loaded = load_or_complain(options.file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!pipeline.clients.contains(options.client)) {
    std::fprintf(stderr, "tributary: %s has no client %s\n", options.file.c_str(), options.client.c_str());
    return exit_usage;
  }
  std::string format = options.format;
  if (format.empty()) format = ::isatty(STDOUT_FILENO) != 0 ? "PrettyCompact" : "TabSeparatedWithNames";
  ClientQuery query{ClientId{options.client}, options.sql, format};
  Status done = ask(pipeline, query);
  if (!done.ok()) return print_error(done.error());
  note_what_stands_still(pipeline, options.client);
  return exit_ok;
}

}  // namespace tributary
