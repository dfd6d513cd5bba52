#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "app/commands.h"
#include "app/conversation.h"
#include "app/json_line.h"
#include "app/view_names.h"
#include "base/wall_clock.h"
#include "config/views_text.h"

namespace tributary {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds poll{500};

volatile std::sig_atomic_t interrupted = 0;

json find_release(const json& answer, uint32_t number) {
  for (const json& release : answer["releases"]) {
    if (release["number"] == number) return release;
  }
  return nullptr;
}

class Progress {
 public:
  void show(const json& release) {
    auto now = Clock::now();
    double events = release["events"].get<double>();
    double fed = release["events_fed"].get<double>();
    if (events == 0) return;
    if (first_ < 0) {
      first_ = fed;
      begin_ = shown_ = now;
      return;
    }
    if (now - shown_ < std::chrono::seconds(1)) return;
    shown_ = now;
    double seconds = std::chrono::duration<double>(now - begin_).count();
    double rate = (fed - first_) / seconds;
    std::string left = rate > 0 ? fmt::format(", {:.0f} s left", std::max(0.0, events - fed) / rate) : "";
    std::fprintf(stderr, "release %s: %.0f of about %.0f events, %.0f %%, %.0f events/s%s\n",
                 release["number"].dump().c_str(), fed, events, fed / events * 100, rate, left.c_str());
  }

 private:
  double first_ = -1;
  Clock::time_point begin_, shown_;
};

// Until it is whole. Nothing is lost where we leave: the release goes on, or does with the next run.
Result<json> wait_until_built(Conversation& talk, uint32_t number) {
  Progress progress;
  while (true) {
    ASSIGN_OR_RETURN(json answer, talk.ask({{"command", "releases"}}));
    json release = find_release(answer, number);
    if (release.is_null())
      return Error{ErrorCode::kCancelled, fmt::format("release {} was dropped while it was built", number)};
    if (release["state"] != "building" || interrupted != 0) return release;
    progress.show(release);
    std::this_thread::sleep_for(poll);
  }
}

json order_of(const Pipeline& pipeline, const ReplayOptions& options) {
  json order{{"command", "release_order"}, {"action", "make"},           {"views", views_text(pipeline.views)},
             {"again", options.views},     {"clients", options.clients}, {"events_per_second_max", options.rate},
             {"now_micros", now_micros()}};
  if (options.from_micros) order["from_micros"] = *options.from_micros;
  if (options.to_micros) order["to_micros"] = *options.to_micros;
  return order;
}

void say_what_next(const std::string& file, const json& release, bool running) {
  std::string number = release["number"].dump();
  if (release["state"] == "ready") {
    std::printf(
        "release %s is ready beside what is live:\n"
        "  tributary release %s diff %s      what it would change\n"
        "  tributary release %s switch %s    readers see it\n"
        "  tributary release %s drop %s      forget it\n",
        number.c_str(), file.c_str(), number.c_str(), file.c_str(), number.c_str(), file.c_str(), number.c_str());
  } else if (release["state"] == "partial") {
    std::printf(
        "release %s has what was asked for, which is a part: it is to look at, and cannot be switched to\n"
        "  tributary release %s diff %s\n  tributary release %s drop %s\n",
        number.c_str(), file.c_str(), number.c_str(), file.c_str(), number.c_str());
  } else if (release["state"] == "building") {
    std::printf(
        running ? "release %s is still being built; `tributary release %s list` shows how far it is\n"
                : "release %s is not whole, and nothing builds it now: it goes on with the next `tributary run %s`, or "
                  "with this command again\n",
        number.c_str(), file.c_str());
  } else {
    std::printf("release %s is %s\n", number.c_str(), release["state"].get<std::string>().c_str());
    for (const json& problem : release["problems"]) std::printf("  %s\n", problem.get<std::string>().c_str());
  }
}

}  // namespace

int replay_command(const ReplayOptions& options) {
  auto loaded = load_or_complain(options.file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  for (const std::string& view : options.views) {
    if (!knows_view(pipeline, view)) return exit_usage;
  }
  for (const std::string& client : options.clients) {
    if (!knows_client(pipeline, client)) return exit_usage;
  }
  if (auto code = complain_of_views(pipeline)) return *code;
  if (Status known = check_data_directory(pipeline, "replay"); !known.ok()) return print_error(known.error());
  auto talk = Conversation::begin(pipeline, {.engine = true, .process = true});
  if (!talk.ok()) return print_error(talk.error());
  auto ordered = talk->ask(order_of(pipeline, options));
  if (!ordered.ok()) return print_error(ordered.error());
  auto number = (*ordered)["number"].get<uint32_t>();
  if (options.detach && talk->running()) {
    if (!options.json) std::printf("release %u is being built by the running pipeline\n", number);
    if (options.json) std::printf("%s\n", json_line(json{{"number", number}, {"state", "building"}}).c_str());
    return exit_ok;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  auto release = wait_until_built(*talk, number);
  if (!release.ok()) return print_error(release.error());
  if (options.json) {
    std::printf("%s\n", json_line(*release).c_str());
  } else {
    say_what_next(options.file, *release, talk->running());
  }
  std::string state = (*release)["state"].get<std::string>();
  if (state == "building") return exit_try_again;
  return state == "broken" ? exit_unavailable : exit_ok;
}

}  // namespace tributary
