#include <algorithm>
#include <cstdio>

#include "app/commands.h"
#include "app/pipeline_plan.h"
#include "capture/postgres/connection.h"
#include "sql/duckdb_engine.h"

namespace tributary {
namespace {

// What libpq objects to.
std::vector<FileError> source_errors(const Pipeline& pipeline) {
  std::vector<FileError> errors;
  for (const auto& [id, client] : pipeline.clients) {
    for (auto [key, url] : {std::pair{"source", &client.source},
                            {"verify_source", client.verify_source ? &*client.verify_source : nullptr}}) {
      if (url == nullptr || !url->scheme.starts_with("postgres")) continue;
      auto settings = ConnectionSettings::parse(url->text, client.password);
      if (settings.ok()) continue;
      errors.push_back(
          {pipeline.file, url->place, fmt::format("client {}: {}: {}", id, key, settings.error().message)});
    }
  }
  return errors;
}

}  // namespace

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

CheckResult check_with_sources(const std::string& file, const PlanFunctions& functions, const LoadOptions& options) {
  LoadOptions with_sources = options;
  with_sources.further = source_errors;
  CheckResult result = check_pipeline(file, functions, with_sources);
  if (result.pipeline) {
    std::ranges::move(source_errors(*result.pipeline), std::back_inserter(result.errors));
    sort_errors(result.errors);
  }
  return result;
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
  auto* pipeline = std::get_if<Pipeline>(&loaded);
  if (pipeline != nullptr && source_errors(*pipeline).empty()) return std::move(*pipeline);
  auto duckdb = DuckDbEngine::open();
  if (!duckdb.ok()) return print_error(duckdb.error());
  print_errors(check_with_sources(file, plan_functions(**duckdb), options).errors);
  return exit_config;
}

}  // namespace tributary
