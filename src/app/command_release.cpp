#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>
#include <thread>

#include "app/commands.h"
#include "app/control_releases.h"
#include "app/conversation.h"
#include "app/diff_text.h"
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
  std::map<std::string, uint32_t> made_for;  // by table: the first release that has it
  for (const json& release : answer["releases"]) {
    auto number = release["number"].get<uint32_t>();
    for (const json& view : release["views"]) {
      auto [known, fresh] = made_for.emplace(view["table"].get<std::string>(), number);
      if (!fresh) known->second = std::min(known->second, number);
    }
  }
  std::printf("%-8s %-9s %-21s %s\n", "release", "state", "made", "views computed for it");
  for (const json& release : answer["releases"]) {
    if (release["state"] == "live" && release["replaced"].is_number()) previous = release["replaced"].get<uint32_t>();
    std::string views;
    for (const json& view : release["views"]) {
      bool of_another = made_for[view["table"].get<std::string>()] != release["number"].get<uint32_t>();
      if (release["state"] != "live" && of_another) continue;
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
    if (std::string why = answer.value("feed_problem", ""); !why.empty() && release["state"] == "building")
      std::printf("         ! it waits: %s\n", why.c_str());
  }
}

void print_diff(const json& diff) {
  std::printf("release %s beside release %s, which is live\n", diff["release"].dump().c_str(),
              diff["live"].dump().c_str());
  if (diff["state"] == "building") std::printf("it is still being built: rows are missing\n");
  for (const json& entry : diff["views"]) print_table_diff(entry, "rows before", "after");
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

// To list what a stopped pipeline has nothing is opened but its data directory.
Result<json> answer_of(const Pipeline& pipeline, const ReleaseOptions& options) {
  if (options.action == "list" && !DataDirectory::holder(pipeline.data)) {
    auto stored = stored_releases_json(pipeline);
    if (stored.ok() || stored.error().code != ErrorCode::kAlreadyExists)
      return stored;  // else it has just been started
  }
  ASSIGN_OR_RETURN(Conversation talk, Conversation::begin(pipeline, {.engine = true, .process = true}));
  return carry_out(talk, options);
}

}  // namespace

int release_command(const ReleaseOptions& options) {
  auto loaded = load_or_complain(options.file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!options.client.empty() && !knows_client(pipeline, options.client)) return exit_usage;
  if (Status known = check_data_directory(pipeline, "show"); !known.ok()) return print_error(known.error());
  auto answer = answer_of(pipeline, options);
  if (!answer.ok()) {
    int code = print_error(answer.error());
    bool unknown_number = options.number != 0 && answer.error().code == ErrorCode::kNotFound;
    return unknown_number ? exit_usage : code;
  }
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
