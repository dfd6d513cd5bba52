// From the pipeline file and the lock file to what runs: relations and view plans. And `check`, offline.
//
//   CheckResult result = check_pipeline("shop.yaml", planner);
//   for (const FileError& error : result.errors) … ;   // any: exit 78
//   for (const FileError& note : result.notes) … ;
//
// What SQL means is injected, since config/ knows no SQL engine; app/ binds it to sql/view_planner.h.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/lock_file.h"
#include "config/pipeline.h"
#include "contracts/view_plan.h"

namespace tributary {

// One view's SQL and what it may name. As sql/view_planner.h's ViewRequest.
struct PlanRequest {
  std::string name;
  std::string_view sql;
  std::vector<Relation> relations;
  std::vector<InputColumn> attributes;
};

// A relation that SQL reads, and where it is first named. As sql/view_planner.h's RelationUse.
struct RelationRead {
  std::string name;
  TextPlace place;  // within the SQL
};

struct PlanFunctions {
  // A relation without columns is one whose columns are not known: a view over it gives a plan without nodes.
  std::function<std::variant<ViewPlan, std::vector<PlanError>>(const PlanRequest&)> plan;
  std::function<ViewPlan(const std::string& name, const Relation&)> identity;
  // Those of `names` that the SQL reads; none where it does not parse.
  std::function<std::vector<RelationRead>(std::string_view sql, const std::vector<std::string>& names)> reads;
  // Whether whoever captures it understands a source's address. Not asked where empty.
  std::function<Status(const SourceUrl&)> check_source;
  // Whether the analytics store understands its address, where that is no word. Not asked where empty.
  std::function<Status(const std::string& at)> check_analytics;
  std::function<Status(const std::string& at)> check_raw;  // likewise
};

struct CompiledPipeline {
  std::map<std::string, DomainRelation> domains;
  // Views after those that they read, else in the file's order; without `views:` one a domain, by name. Not: those that read
  // what is not known, or has errors.
  std::vector<ViewPlan> views;
};

// A column that some clients' tables alone have, and with which the SQL of a view does not compile: the view is compiled without it.
struct LeftOut {
  std::vector<std::string> clients;  // whose tables have it
  std::string domain;  // where they have it; empty: not known
  std::string view;
  std::string message;  // what, and what to do
};

// How a note ends that says of what no columns are known.
constexpr std::string_view connect_reads_them = "`tributary check --connect` reads them";

struct CompileResult {
  CompiledPipeline compiled;  // whole only where there are no errors and `complete`
  bool complete = false;  // every domain's columns are known
  std::vector<LeftOut> left_out;
  std::vector<FileError> errors;
  std::vector<FileError>
      notes;  // clients set aside, columns renamed, domains without known columns, views not looked at
};

// `lock` may be null: then only what needs no columns is checked.
CompileResult compile_pipeline(const Pipeline& pipeline, const LockFile* lock, const PlanFunctions& functions);

struct CheckResult {
  std::optional<Pipeline> pipeline;  // where the file has no errors of its own
  std::optional<LockFile> lock;
  CompiledPipeline compiled;
  bool complete = false;
  std::vector<FileError> errors;  // sorted
  std::vector<FileError> notes;  // sorted; what is not built yet is among them
};

// Reads the files and connects to nothing.
CheckResult check_pipeline(const std::string& path, const PlanFunctions& functions, const LoadOptions& options = {});

}  // namespace tributary
