#include <fmt/ranges.h>

#include <cstdio>
#include <ctime>

#include "app/commands.h"
#include "app/conversation.h"
#include "app/json_line.h"
#include "app/view_names.h"

namespace tributary {
namespace {

using nlohmann::json;

std::string time_text(int64_t micros) {
  std::time_t seconds = micros / 1'000'000;
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", std::gmtime(&seconds));
  return fmt::format("{}.{:03}Z", text, micros / 1000 % 1000);
}

void print_event(const json& event) {
  const json& value = event["value"];
  std::string transaction;
  if (value.is_object() && value["source"].is_object() && value["source"].contains("txId"))
    transaction = "  transaction " + value["source"]["txId"].dump();
  std::printf("%s  %s%s\n", event["position"].get<std::string>().c_str(), event["event"].get<std::string>().c_str(),
              transaction.c_str());
  if (value.is_object() && value["source"].is_object())
    std::printf("    committed %s (ms since 1970)\n", value["source"].value("ts_ms", json(nullptr)).dump().c_str());
  if (event.contains("log")) {
    const json& log = event["log"];
    std::printf("    log: topic %s, partition %s, offset %s\n", log["topic"].get<std::string>().c_str(),
                log["partition"].dump().c_str(), log.contains("offset") ? log["offset"].dump().c_str() : "?");
  }
  for (const char* step : {"captured", "processed", "stored"}) {
    if (!event.contains(step)) continue;
    const json& seen = event[step];
    std::string after = seen["after_micros"].is_null()
                            ? ""
                            : fmt::format(", not yet at {}", time_text(seen["after_micros"].get<int64_t>()));
    std::printf("    %s by %s%s\n", step, time_text(seen["by_micros"].get<int64_t>()).c_str(), after.c_str());
  }
  if (value.is_object()) {
    if (!value["before"].is_null()) std::printf("    before %s\n", json_line(value["before"]).c_str());
    if (!value["after"].is_null()) std::printf("    after  %s\n", json_line(value["after"]).c_str());
  }
  for (const json& view : event["views"]) {
    std::printf("    view %s\n", view["view"].get<std::string>().c_str());
    if (!view["before"].is_null()) std::printf("      - %s\n", json_line(view["before"]).c_str());
    if (!view["after"].is_null()) std::printf("      + %s\n", json_line(view["after"]).c_str());
  }
}

void print_domain_row(const json& answer) {
  auto all = answer["events_in_all"].get<size_t>();
  std::printf("%s  %s %s: %zu events, live release %s\n", answer["client"].get<std::string>().c_str(),
              answer["domain"].get<std::string>().c_str(), answer["key"].get<std::string>().c_str(), all,
              answer["release"].dump().c_str());
  if (all > answer["events"].size()) std::printf("the newest %zu of them:\n", answer["events"].size());
  for (const json& event : answer["events"]) print_event(event);
  for (const json& letter : answer["dead_letters"]) {
    std::printf("dead letter in view %s: %s\n", letter["view"].get<std::string>().c_str(),
                letter.value("reason", "").c_str());
  }
}

void print_view_row(const json& answer) {
  std::printf("%s  %s, live release %s\n", answer["client"].get<std::string>().c_str(),
              answer["view"].get<std::string>().c_str(), answer["release"].dump().c_str());
  std::printf(answer["row"].is_null() ? "there is no such row\n" : "%s\n", json_line(answer["row"]).c_str());
  if (answer.contains("note")) std::printf("%s\n", answer["note"].get<std::string>().c_str());
  if (answer.contains("of")) print_domain_row(answer["of"]);
  if (!answer.contains("from")) return;
  const json& from = answer["from"];
  std::string columns;
  for (const json& column : from["columns"]) columns += (columns.empty() ? "" : "\t") + column.get<std::string>();
  std::printf("made of these rows%s:\n%s\n", from["rows"].empty() ? " (none)" : "", columns.c_str());
  for (const json& row : from["rows"]) std::printf("%s\n", json_line(row).c_str());
  for (const json& call : from["calls"]) {
    std::printf("%s: %s in the view, %s from the rows%s\n", call["column"].get<std::string>().c_str(),
                json_line(call["live"]).c_str(), call["from_rows"].get<std::string>().c_str(),
                call["equal"].get<bool>() ? "" : "  (differ: the rows changed since, or it is being computed again)");
  }
}

// Neither an event nor a row has the key.
bool is_nowhere(const json& answer) {
  if (!answer.contains("view")) return answer["events_in_all"].get<size_t>() == 0 && answer["dead_letters"].empty();
  return answer["row"].is_null() && (!answer.contains("of") || is_nowhere(answer["of"])) &&
         (!answer.contains("from") || answer["from"]["rows"].empty());
}

}  // namespace

int trace_command(const TraceOptions& options) {
  auto loaded = load_or_complain(options.file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!knows_client(pipeline, options.client)) return exit_usage;
  if (Status known = check_data_directory(pipeline, "trace"); !known.ok()) return print_error(known.error());
  auto talk = Conversation::begin(pipeline, {.engine = true, .process = true});
  if (!talk.ok()) return print_error(talk.error());
  auto answer = talk->ask({{"command", "trace"},
                           {"client", options.client},
                           {"relation", options.relation},
                           {"key", options.key},
                           {"limit", options.limit}});
  if (!answer.ok()) {
    int code = print_error(answer.error());
    return answer.error().code == ErrorCode::kInvalidInput ? exit_usage : code;  // the relation's name, or its key
  }
  if (options.json) {
    std::printf("%s\n", json_line(*answer).c_str());
  } else if (answer->contains("view")) {
    print_view_row(*answer);
  } else {
    print_domain_row(*answer);
  }
  if (is_nowhere(*answer)) {
    std::fprintf(stderr, "tributary: no event and no row of client %s has the key %s in %s\n", options.client.c_str(),
                 fmt::format("{}", fmt::join(options.key, ", ")).c_str(), options.relation.c_str());
    return exit_usage;
  }
  return exit_ok;
}

}  // namespace tributary
