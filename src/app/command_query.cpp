#include <unistd.h>

#include <cstdio>

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
  return done.ok() ? exit_ok : print_error(done.error());
}

}  // namespace tributary
