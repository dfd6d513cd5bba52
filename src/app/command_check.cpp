#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/analytics_choice.h"
#include "app/commands.h"
#include "app/json_line.h"
#include "app/log_choice.h"
#include "app/pipeline_plan.h"
#include "app/raw_choice.h"
#include "app/source_schemas.h"
#include "app/view_tests.h"
#include "storage/data_directory.h"

namespace tributary {
namespace {

nlohmann::json errors_json(const std::vector<FileError>& errors) {
  auto list = nlohmann::json::array();
  for (const FileError& error : errors) {
    list.push_back(
        {{"file", error.file}, {"line", error.place.line}, {"column", error.place.column}, {"message", error.message}});
  }
  return list;
}

std::vector<std::string> texts_of(const std::vector<SourceTrouble>& troubles, bool away) {
  std::vector<std::string> texts;
  for (const SourceTrouble& trouble : troubles) {
    if (trouble.away == away) texts.push_back(trouble.text);
  }
  return texts;
}

}  // namespace

int check_command(const CheckOptions& options) {
  auto duckdb = DuckDbEngine::open();
  if (!duckdb.ok()) return print_error(duckdb.error());
  PlanFunctions functions = plan_functions(**duckdb);
  CheckResult result = check_with_sources(options.file, functions);
  std::vector<SourceTrouble> unreachable;
  if (result.pipeline) {
    // Not an error: the file may be checked on another machine than it runs on.
    if (auto why = DataDirectory::why_not_creatable(result.pipeline->data)) {
      result.notes.push_back(
          {options.file,
           {},
           fmt::format("data: {} cannot be created on this machine: {}", result.pipeline->data, *why)});
    }
  }
  if (options.connect && result.pipeline && result.errors.empty()) {
    SchemaReading reading = read_source_schemas(*result.pipeline, result.lock.value_or(LockFile{}));
    unreachable = reading.unreachable;
    std::vector<SourceTrouble> troubles = source_troubles(*result.pipeline);
    for (const SourceTrouble& trouble : troubles) {  // who cannot be reached at all is told once, with what to do
      std::erase_if(unreachable, [&](const SourceTrouble& known) { return trouble.text.starts_with(known.text); });
    }
    unreachable.insert(unreachable.end(), troubles.begin(), troubles.end());
    for (std::string& trouble : log_troubles(*result.pipeline)) unreachable.push_back({std::move(trouble), true});
    for (std::string trouble : {analytics_trouble(*result.pipeline), raw_trouble(*result.pipeline)})
      if (!trouble.empty()) unreachable.push_back({std::move(trouble), true});
    CompileResult compiled = compile_pipeline(*result.pipeline, &reading.lock, functions);
    result.errors = compiled.errors;
    if (result.errors.empty()) {
      if (Status written = write_lock(lock_path(options.file), reading.lock); !written.ok())
        return print_error(written.error());
      result = check_pipeline(options.file, functions);
    }
  }
  bool away = std::ranges::any_of(unreachable, &SourceTrouble::away);
  // What has just been looked for in vain is told with why.
  if (options.connect && !unreachable.empty()) {
    std::erase_if(result.notes, [](const FileError& note) { return note.message.ends_with(connect_reads_them); });
  }
  ViewTestOutcome tests;
  if (result.pipeline && result.errors.empty()) tests = run_view_tests(*result.pipeline, result.compiled, **duckdb);
  if (options.json) {
    nlohmann::json json{
        {"ok", result.errors.empty() && unreachable.empty() && tests.failures.empty()},
        {"tests", {{"passed", tests.passed}, {"skipped", tests.skipped}, {"failed", errors_json(tests.failures)}}},
        {"errors", errors_json(result.errors)},
        {"notes", errors_json(result.notes)},
        {"unreachable", texts_of(unreachable, true)},
        {"refused", texts_of(unreachable, false)}};
    std::printf("%s\n", json_line(json).c_str());
  } else {
    print_errors(result.errors);
    for (const FileError& note : result.notes) std::printf("%s\n", ("note: " + note.to_string()).c_str());
    print_errors(tests.failures);
    if (result.pipeline && result.errors.empty() && !result.pipeline->tests.empty()) {
      std::printf("tests: %zu passed, %zu failed%s\n", tests.passed, tests.failures.size(),
                  tests.skipped == 0 ? "" : ", the others wait for the tables' columns");
    }
    for (const SourceTrouble& trouble : unreachable) std::fprintf(stderr, "tributary: %s\n", trouble.text.c_str());
    if (result.errors.empty() && result.pipeline) {
      std::printf("%s: %zu clients, %zu domains, %zu views%s\n", options.file.c_str(), result.pipeline->clients.size(),
                  result.pipeline->domains.size(),
                  std::max(result.pipeline->views.size(), result.compiled.views.size()),
                  !tests.failures.empty() ? ": tests fail"
                  : away                  ? ": not all that it names can be reached"
                  : !unreachable.empty()  ? ": not all that it names can be used"
                  : result.complete       ? ": good"
                                          : ": good as far as it can be seen without the tables' columns");
    }
  }
  if (!result.errors.empty()) return exit_config;
  if (!tests.failures.empty()) return exit_difference;
  if (away) return exit_unavailable;
  return unreachable.empty() ? exit_ok : exit_no_permission;
}

}  // namespace tributary
