#include <cstdio>

#include "app/commands.h"
#include "app/pipeline_plan.h"
#include "capture/postgres/connection.h"
#include "sql/duckdb_engine.h"

namespace tributary {

void print_errors(const std::vector<FileError>& errors) {
  for (const FileError& error : errors) std::fprintf(stderr, "%s\n", error.to_string().c_str());
}

int exit_code_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidInput:
    case ErrorCode::kNotFound: return exit_data;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kTimeout:
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kCancelled: return exit_try_again;
    case ErrorCode::kPermissionDenied: return exit_no_permission;
    case ErrorCode::kUnavailable:
    case ErrorCode::kUnsupported: return exit_unavailable;
    case ErrorCode::kCorrupt:
    case ErrorCode::kInternal: return exit_internal;
  }
  return exit_internal;
}

int print_error(const Error& error) {
  std::fprintf(stderr, "tributary: %s\n", error.message.c_str());
  return exit_code_of(error);
}

std::vector<FileError> source_errors(const Pipeline& pipeline) {
  std::vector<FileError> errors;
  for (const auto& [id, client] : pipeline.clients) {
    for (const SourceUrl* url : {&client.source, client.verify_source ? &*client.verify_source : nullptr}) {
      if (url == nullptr || !url->scheme.starts_with("postgres")) continue;
      auto settings = ConnectionSettings::parse(url->text, client.password);
      if (!settings.ok()) errors.push_back({pipeline.file, client.place, settings.error().message});
    }
  }
  return errors;
}

std::optional<int> complain_of_views(const Pipeline& pipeline) {
  auto duckdb = DuckDbEngine::open();
  if (!duckdb.ok()) return print_error(duckdb.error());
  CheckResult checked =
      check_pipeline(pipeline.file, plan_functions(**duckdb), {.environment = {}, .source_passwords = false});
  if (checked.errors.empty()) return std::nullopt;
  print_errors(checked.errors);
  return exit_config;
}

std::variant<Pipeline, int> load_or_complain(const std::string& file, const LoadOptions& options) {
  auto loaded = load_pipeline(file, options);
  if (auto* errors = std::get_if<std::vector<FileError>>(&loaded)) {
    print_errors(*errors);
    return exit_config;
  }
  if (auto errors = source_errors(std::get<Pipeline>(loaded)); !errors.empty()) {
    print_errors(errors);
    return exit_config;
  }
  return std::get<Pipeline>(std::move(loaded));
}

}  // namespace tributary
