#include "config/compile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace tributary {
namespace {

class Compiler {
 public:
  Compiler(const Pipeline& pipeline, const LockFile* lock, const PlanFunctions& functions)
      : pipeline_(pipeline), lock_(lock), functions_(functions) {}

  CompileResult compile() {
    for (const auto& [name, domain] : pipeline_.domains) find_relation(domain);
    result_.complete = result_.compiled.domains.size() == pipeline_.domains.size();
    if (pipeline_.views.empty()) {
      for (const auto& [name, domain] : result_.compiled.domains) {
        result_.compiled.views.push_back(functions_.identity(name, domain.relation));
      }
    }
    for (const ViewConfig& view : pipeline_.views) compile_view(view);
    sort_errors(result_.errors);
    sort_errors(result_.notes);
    return std::move(result_);
  }

 private:
  void note(TextPlace place, std::string message) {
    result_.notes.push_back({pipeline_.file, place, std::move(message)});
  }
  void fail(TextPlace place, std::string message) {
    result_.errors.push_back({pipeline_.file, place, std::move(message)});
  }

  void find_relation(const DomainConfig& domain) {
    auto relation = lock_ == nullptr ? std::nullopt : domain_relation(pipeline_, *lock_, domain.name);
    if (!relation) {
      if (lock_ != nullptr) {
        note(domain.place,
             fmt::format("domain {}: the lock file does not know its columns yet; `tributary check --connect` "
                         "reads them",
                         domain.name));
      }
      return;
    }
    for (const SetAside& client : relation->set_aside) {
      note(domain.place,
           fmt::format("domain {}: client {} is set aside: {}", domain.name, client.client, client.reason));
    }
    ViewPlan identity = functions_.identity(domain.name, relation->relation);
    for (const ViewOutput& output : identity.outputs) {
      const std::string& source = identity.inputs[*output.input].name;
      if (source == output.column.name) continue;
      note(domain.place, fmt::format("domain {}: the source's column \"{}\" is called \"{}\", since the name is the "
                                     "pipeline's own",
                                     domain.name, source, output.column.name));
    }
    result_.compiled.domains.emplace(domain.name, *std::move(relation));
  }

  PlanRequest request_of(const ViewConfig& view) const {
    PlanRequest request{.name = view.name, .sql = view.sql};
    for (const auto& [name, type] : pipeline_.attribute_types()) request.attributes.push_back({name, type});
    for (const ViewConfig& other : pipeline_.views) {
      if (other.name != view.name) request.other_views.push_back(other.name);
    }
    return request;
  }

  void compile_view(const ViewConfig& view) {
    PlanRequest request = request_of(view);
    for (const auto& [name, domain] : pipeline_.domains) {
      auto known = result_.compiled.domains.find(name);
      request.relations.push_back(known == result_.compiled.domains.end() ? Relation{name, {}, {}}
                                                                          : known->second.relation);
    }
    std::vector<PlanError> errors;
    auto planned = functions_.plan(request);
    if (auto* found = std::get_if<std::vector<PlanError>>(&planned)) {
      errors = std::move(*found);
    } else if (auto& plan = std::get<ViewPlan>(planned); !plan.outputs.empty()) {
      add_view(view, std::move(plan));
    }
    for (const PlanError& error : errors) {
      fail(pipeline_.place_in_file(view, error.place), fmt::format("view {}: {}", view.name, error.message));
    }
  }

  void add_view(const ViewConfig& view, ViewPlan plan) {
    for (const std::string& column : view.order_by) {
      if (std::find(plan.order_by.begin(), plan.order_by.end(), column) != plan.order_by.end()) continue;
      return fail(
          view.place,
          plan.order_by.empty()
              ? fmt::format("view {}: order_by takes the key's columns, and the view has not all of them; select "
                            "them, or take order_by out",
                            view.name)
              : fmt::format("view {}: order_by: \"{}\" is no key column; there are: {}", view.name, column,
                            fmt::join(plan.order_by, ", ")));
    }
    if (!view.order_by.empty()) plan.order_by = view.order_by;
    result_.compiled.views.push_back(std::move(plan));
  }

  const Pipeline& pipeline_;
  const LockFile* lock_;
  const PlanFunctions& functions_;
  CompileResult result_;
};

}  // namespace

CompileResult compile_pipeline(const Pipeline& pipeline, const LockFile* lock, const PlanFunctions& functions) {
  return Compiler(pipeline, lock, functions).compile();
}

CheckResult check_pipeline(const std::string& path, const PlanFunctions& functions, const LoadOptions& options) {
  CheckResult result;
  auto loaded = load_pipeline(path, options);
  if (auto* errors = std::get_if<std::vector<FileError>>(&loaded)) {
    result.errors = std::move(*errors);
    return result;
  }
  result.pipeline = std::get<Pipeline>(std::move(loaded));
  result.notes = result.pipeline->notes;
  auto lock = read_lock(lock_path(path));
  if (auto* errors = std::get_if<std::vector<FileError>>(&lock)) {
    result.errors = std::move(*errors);
  } else {
    result.lock = std::get<std::optional<LockFile>>(std::move(lock));
    if (!result.lock) {
      result.notes.push_back({path,
                              {},
                              "there is no lock file yet, so columns and types are not checked; `tributary check "
                              "--connect` or `tributary run` writes it"});
    }
  }
  CompileResult compiled = compile_pipeline(*result.pipeline, result.lock ? &*result.lock : nullptr, functions);
  result.compiled = std::move(compiled.compiled);
  result.complete = compiled.complete;
  result.errors.insert(result.errors.end(), compiled.errors.begin(), compiled.errors.end());
  result.notes.insert(result.notes.end(), compiled.notes.begin(), compiled.notes.end());
  for (FileError& error : not_built_yet(*result.pipeline)) result.notes.push_back(std::move(error));
  sort_errors(result.errors);
  sort_errors(result.notes);
  return result;
}

}  // namespace tributary
