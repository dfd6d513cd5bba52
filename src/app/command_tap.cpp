#include <fmt/format.h>
#include <fnmatch.h>

#include <cstdio>
#include <ctime>

#include "app/commands.h"
#include "app/control.h"

namespace tributary {
namespace {

bool write_line(std::string_view line) {
  return std::fwrite(line.data(), 1, line.size(), stdout) == line.size() && std::fflush(stdout) == 0;
}

// Not an error: the log may hold events of domains that the file does not name any more.
void note_unknown_events(const Pipeline& pipeline, const std::string& pattern) {
  std::string known;
  for (const auto& [name, domain] : pipeline.domains) {
    for (std::string_view end : {"created", "updated", "deleted", "snapshot", "truncated"}) {
      std::string event = fmt::format("{}.{}", domain.event, end);
      if (::fnmatch(pattern.c_str(), event.c_str(), 0) == 0) return;
    }
    known += fmt::format("{}{}.*", known.empty() ? "" : ", ", domain.event);
  }
  std::fprintf(stderr, "tributary: no event of %s matches '%s'; there are %s\n", pipeline.file.c_str(), pattern.c_str(),
               known.c_str());
}

}  // namespace

std::optional<int64_t> parse_time(const std::string& text) {
  for (const char* format : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"}) {
    std::tm time{};
    const char* end = ::strptime(text.c_str(), format, &time);
    if (end != nullptr && *end == '\0') return static_cast<int64_t>(::timegm(&time)) * 1'000'000;
  }
  return std::nullopt;
}

int tap_command(TapCommandOptions options) {
  auto loaded = load_or_complain(options.file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!options.tap.client.empty() && !pipeline.clients.contains(options.tap.client)) {
    std::fprintf(stderr, "tributary: %s has no client %s\n", options.file.c_str(), options.tap.client.c_str());
    return exit_usage;
  }
  note_unknown_events(pipeline, options.tap.pattern);
  if (!options.from.empty() && options.from != "start" && options.from != "now") {
    options.tap.from_micros = parse_time(options.from);
    if (!options.tap.from_micros) {
      std::fprintf(stderr, "tributary: --from takes start, now, or a time in UTC such as 2026-01-31T23:59:59, not %s\n",
                   options.from.c_str());
      return exit_usage;
    }
  }
  if (Status known = check_data_directory(pipeline, "tap"); !known.ok()) return print_error(known.error());
  auto reached = reach_pipeline(pipeline, {.log_alone = !options.tap.raw});
  if (!reached.ok()) return print_error(reached.error());
  options.tap.follow = reached->running() && !options.until_caught_up;
  options.tap.from_start = options.from == "start" || (options.from.empty() && !reached->running());
  if (reached->running()) {
    std::string request = options.tap.to_json();
    request.insert(1, R"("command":"tap",)");
    Status done = control_call(control_socket_path(pipeline.data), request, write_line);
    return done.ok() ? exit_ok : print_error(done.error());
  }
  EventReader reader(pipeline, *reached->opened->log, reached->opened->raw);
  Status done = reader.read(options.tap, write_line, [] { return true; });
  return done.ok() ? exit_ok : print_error(done.error());
}

}  // namespace tributary
