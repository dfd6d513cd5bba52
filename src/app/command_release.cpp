#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <thread>

#include "app/commands.h"
#include "app/conversation.h"
#include "app/json_line.h"
#include "app/view_names.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds poll{50};
constexpr std::chrono::minutes switch_limit{10};

std::string time_text(int64_t micros) {
  std::time_t seconds = micros / 1'000'000;
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", std::gmtime(&seconds));
  return text;
}

void print_list(const json& answer) {
  uint32_t previous = 0;
  std::printf("%-8s %-9s %-21s %s\n", "release", "state", "made", "views computed for it");
  for (const json& release : answer["releases"]) {
    if (release["state"] == "live" && release["replaced"].is_number()) previous = release["replaced"].get<uint32_t>();
    std::string views;
    for (const json& view : release["views"]) {
      if (release["state"] != "live" && view["shared"].get<bool>()) continue;
      views += (views.empty() ? "" : ", ") + view["view"].get<std::string>();
    }
    std::string state = release["state"].get<std::string>();
    double events = release["events"].get<double>();
    if (state == "building" && events > 0)
      state = fmt::format("{:.0f} %", release["events_fed"].get<double>() / events * 100);
    std::printf("%-8s %-9s %-21s %s%s\n", release["number"].dump().c_str(), state.c_str(),
                time_text(release["made_micros"].get<int64_t>()).c_str(), views.empty() ? "none" : views.c_str(),
                release["number"] == previous ? "  (was live before: `rollback` goes back to it)" : "");
    for (const json& problem : release["problems"]) std::printf("         ! %s\n", problem.get<std::string>().c_str());
  }
}

void print_sample(const char* sign, const json& row) { std::printf("      %s %s\n", sign, json_line(row).c_str()); }

void print_diff(const json& diff) {
  std::printf("release %s beside release %s, which is live\n", diff["release"].dump().c_str(),
              diff["live"].dump().c_str());
  if (diff["state"] == "building") std::printf("it is still being built: rows are missing\n");
  for (const json& entry : diff["views"]) {
    bool none = entry["added"] == 0 && entry["removed"] == 0 && entry["changed"] == 0;
    std::printf("%s  %s: %s rows before, %s after%s\n", entry["client"].get<std::string>().c_str(),
                entry["view"].get<std::string>().c_str(), entry["rows_before"].dump().c_str(),
                entry["rows_after"].dump().c_str(), none ? ", equal" : "");
    if (!none) {
      std::printf("    added %s, removed %s, changed %s\n", entry["added"].dump().c_str(),
                  entry["removed"].dump().c_str(), entry["changed"].dump().c_str());
    }
    for (const json& column : entry["columns_added"])
      std::printf("    new column %s\n", column.get<std::string>().c_str());
    for (const json& column : entry["columns_removed"])
      std::printf("    no column %s any more\n", column.get<std::string>().c_str());
    for (const auto& [column, sum] : entry["sums"].items()) {
      std::printf("    sum(%s): %s -> %s%s\n", column.c_str(), sum["before"].get<std::string>().c_str(),
                  sum["after"].get<std::string>().c_str(),
                  sum["delta"].is_string() ? fmt::format(" ({})", sum["delta"].get<std::string>()).c_str() : "");
    }
    for (const json& row : entry["samples"].value("added", json::array())) print_sample("+", row);
    for (const json& row : entry["samples"].value("removed", json::array())) print_sample("-", row);
    for (const json& row : entry["samples"].value("changed", json::array())) {
      print_sample("-", row["before"]);
      print_sample("+", row["after"]);
    }
  }
  for (const json& view : diff["unchanged"])
    std::printf("%s: computed by the same plan in both, and by the same build\n", view.get<std::string>().c_str());
}

// Of a command without a number: the one release that can be meant.
Result<uint32_t> meant_release(Conversation& talk, const std::string& action) {
  ASSIGN_OR_RETURN(json answer, talk.ask({{"command", "releases"}}));
  std::vector<uint32_t> others;
  for (const json& release : answer["releases"]) {
    if (release["state"] != "live") others.push_back(release["number"].get<uint32_t>());
  }
  if (others.size() == 1) return others[0];
  if (others.empty()) {
    return Error{ErrorCode::kNotFound,
                 "there is no release beside the live one; `tributary replay FILE` makes one from the file's views"};
  }
  return Error{ErrorCode::kInvalidInput,
               fmt::format("there are releases {}: name the one to {}", fmt::join(others, ", "), action)};
}

// Until readers are brought over.
Result<json> wait_until_switched(Conversation& talk) {
  auto deadline = std::chrono::steady_clock::now() + switch_limit;
  while (true) {
    ASSIGN_OR_RETURN(json answer, talk.ask({{"command", "releases"}}));
    if (!answer["switching"].get<bool>()) return answer;
    if (std::chrono::steady_clock::now() > deadline) {
      return Error{ErrorCode::kTimeout,
                   "readers are not brought over yet: the analytics store is behind; it goes on by itself"};
    }
    std::this_thread::sleep_for(poll);
  }
}

Result<json> carry_out(Conversation& talk, const ReleaseOptions& options) {
  uint32_t number = options.number;
  if (number == 0 && options.action != "list" && options.action != "rollback") {
    ASSIGN_OR_RETURN(number, meant_release(talk, options.action));
  }
  if (options.action == "list") return talk.ask({{"command", "releases"}});
  if (options.action == "diff") {
    return talk.ask({{"command", "release_diff"},
                     {"number", number},
                     {"view", options.view},
                     {"client", options.client},
                     {"samples", options.samples}});
  }
  ASSIGN_OR_RETURN(json done, talk.ask({{"command", "release_order"}, {"action", options.action}, {"number", number}}));
  ASSIGN_OR_RETURN(json releases, wait_until_switched(talk));
  releases["number"] = done["number"];
  return releases;
}

}  // namespace

int release_command(const ReleaseOptions& options) {
  auto loaded = load_or_complain(options.file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!options.client.empty() && !knows_client(pipeline, options.client)) return exit_usage;
  if (Status known = check_data_directory(pipeline, "show"); !known.ok()) return print_error(known.error());
  auto talk = Conversation::begin(pipeline, {.engine = true, .process = true});
  if (!talk.ok()) return print_error(talk.error());
  auto answer = carry_out(*talk, options);
  if (!answer.ok()) return print_error(answer.error());
  if (options.json) {
    std::printf("%s\n", json_line(*answer).c_str());
  } else if (options.action == "list") {
    print_list(*answer);
  } else if (options.action == "diff") {
    print_diff(*answer);
  } else {
    std::string number = (*answer)["number"].dump();
    std::printf(options.action == "drop" ? "release %s is dropped\n" : "release %s is live\n", number.c_str());
  }
  return exit_ok;
}

}  // namespace tributary
