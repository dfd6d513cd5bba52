#include <cstdio>

#include "app/commands.h"
#include "app/control.h"
#include "app/dead_letter_list.h"
#include "app/json_line.h"
#include "app/view_names.h"

namespace tributary {
namespace {

using nlohmann::json;

Result<json> listed(const Pipeline& pipeline, const DeadLetterFilter& filter) {
  Status known = check_data_directory(pipeline, "list");
  if (!known.ok() && known.error().code == ErrorCode::kNotFound) return json(json::array());
  RETURN_IF_ERROR(known);
  ASSIGN_OR_RETURN(Reached reached, reach_pipeline(pipeline, {}));
  if (!reached.running()) {
    return list_dead_letters(pipeline, *reached.opened->storage, *reached.opened->log, *reached.opened->raw, filter);
  }
  std::string answer;
  RETURN_IF_ERROR(control_call(control_socket_path(pipeline.data), filter.to_json(), [&](std::string_view part) {
    answer.append(part);
    return true;
  }));
  return json::parse(answer, nullptr, false);
}

void print_letters(const json& letters, bool events) {
  if (letters.empty()) std::printf("no dead letters\n");
  for (const json& letter : letters) {
    std::string client = letter["client"].get<std::string>();
    std::string view = letter["view"].get<std::string>();
    if (letter.contains("not_kept")) {
      std::printf(
          "%s %s: the breaker has tripped: %s more rows failed and are not listed; `retry` without an id computes "
          "all\n",
          client.c_str(), view.c_str(), letter["not_kept"].dump().c_str());
      continue;
    }
    if (view.empty()) {
      std::printf("%s  a message that could not be read  %s  key %s\n    %s\n", client.c_str(),
                  letter["id"].get<std::string>().c_str(), letter["key"].get<std::string>().c_str(),
                  letter["reason"].get<std::string>().c_str());
      if (events) std::printf("    %s\n", json_line(letter["events"][0]).c_str());
      continue;
    }
    std::string position = letter["position"].get<std::string>();  // of groups and joined rows there is none
    std::printf("%s  %s  %s  %s%s\n    %s\n", client.c_str(), view.c_str(), letter["id"].get<std::string>().c_str(),
                letter["key"].get<std::string>().c_str(), (position.empty() ? "" : "  position " + position).c_str(),
                letter["reason"].get<std::string>().c_str());
    if (!events) continue;
    if (letter["events"].empty()) std::printf("    rows of several events; `tributary trace` shows them\n");
    for (const json& event : letter["events"]) std::printf("    %s\n", json_line(event).c_str());
  }
}

int change(const Pipeline& pipeline, const DeadLetterOptions& options) {
  bool drop = options.action == "drop";
  if (options.filter.client.empty() || options.filter.view.empty()) {
    std::fprintf(stderr, "tributary: %s needs --client and --view; `list` shows them\n", options.action.c_str());
    return exit_usage;
  }
  auto reached = reach_pipeline(pipeline, {});
  if (!reached.ok()) return print_error(reached.error());
  if (!reached->running()) {
    std::fprintf(stderr, "tributary: the pipeline does not run; `tributary run %s`, then %s\n", options.file.c_str(),
                 options.action.c_str());
    return exit_try_again;
  }
  json request{{"command", "dead_letter_order"}, {"client", options.filter.client}, {"view", options.filter.view},
               {"id", options.filter.id},        {"reason", options.filter.reason}, {"drop", drop}};
  Status done =
      control_call(control_socket_path(pipeline.data), json_line(request), [](std::string_view) { return true; });
  if (!done.ok()) return print_error(done.error());
  std::printf(drop ? "dropped: not listed any more; the rows stay out of the view until they change\n"
                   : "the rows are computed again; `list` shows what still fails\n");
  return exit_ok;
}

}  // namespace

int dead_letters_command(const DeadLetterOptions& options) {
  auto loaded = load_or_complain(options.file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!options.filter.client.empty() && !knows_client(pipeline, options.filter.client)) return exit_usage;
  if (!options.filter.view.empty() && !knows_view(pipeline, options.filter.view)) return exit_usage;
  if (options.action == "retry" || options.action == "drop") return change(pipeline, options);
  DeadLetterFilter filter = options.filter;
  filter.events = options.action == "show";
  auto letters = listed(pipeline, filter);
  if (!letters.ok()) return print_error(letters.error());
  if (letters->empty() && !filter.id.empty()) {
    std::fprintf(stderr, "tributary: no dead letter has the id %s; `list` shows those that there are\n",
                 filter.id.c_str());
    return exit_usage;
  }
  if (options.json) {
    std::printf("%s\n", json_text(*letters).c_str());
  } else {
    print_letters(*letters, filter.events);
  }
  return exit_ok;
}

}  // namespace tributary
