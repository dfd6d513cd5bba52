#include "config/compile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "config/table_options.h"

namespace tributary {
namespace {

class Compiler {
 public:
  Compiler(const Pipeline& pipeline, const LockFile* lock, const PlanFunctions& functions)
      : pipeline_(pipeline), lock_(lock), functions_(functions), views_(pipeline.views.size()) {}

  CompileResult compile() {
    for (const auto& [name, domain] : pipeline_.domains) find_relation(domain);
    result_.complete = result_.compiled.domains.size() == pipeline_.domains.size();
    if (pipeline_.views.empty()) {
      for (const auto& [name, domain] : result_.compiled.domains) {
        ViewPlan plan = functions_.identity(name, domain.relation);
        const DomainConfig& config = pipeline_.domains.at(name);
        if (config.history) {
          std::vector<std::string> others;
          for (const auto& [other, of] : pipeline_.domains) others.push_back(other);
          read_history(config.place, "domain " + name, others, plan);
        }
        result_.compiled.views.push_back(std::move(plan));
      }
    }
    for (size_t view = 0; view < views_.size(); ++view) find_reads(view);
    for (size_t view = 0; view < views_.size(); ++view) compile_view(view);
    sort_errors(result_.errors);
    sort_errors(result_.notes);
    return std::move(result_);
  }

 private:
  enum class Progress : uint8_t { kWaiting, kStarted, kDone };
  struct View {
    struct Read {
      size_t view;
      TextPlace place;  // in the file
    };
    std::vector<Read> reads;  // other views
    Progress progress = Progress::kWaiting;
    std::optional<Relation> relation;  // what others may read, where it has no errors; no columns: they are not known
    std::set<std::string> partial;  // columns that it has by those which some clients' tables alone have
    bool stateful = false;  // an operator of it, or of a view that it reads, keeps state
  };

  void note(TextPlace place, std::string message) {
    result_.notes.push_back({pipeline_.file, place, std::move(message)});
  }
  void fail(TextPlace place, std::string message) {
    result_.errors.push_back({pipeline_.file, place, std::move(message)});
  }

  // `others`: relations that clients see.
  void read_history(TextPlace place, const std::string& what, const std::vector<std::string>& others, ViewPlan& plan) {
    std::string name = plan.name + history_suffix;
    if (std::find(others.begin(), others.end(), name) != others.end()) {
      return fail(place, fmt::format("{}: its history would be called {}, as another one is; rename that", what, name));
    }
    for (const OutputColumn& column : plan.columns()) {
      if (column.name == "valid_from" || column.name == "valid_to") {
        return fail(place, fmt::format("{}: its history has a column {} of its own; select that one AS something else",
                                       what, column.name));
      }
    }
    plan.options.history = true;
  }

  void find_relation(const DomainConfig& domain) {
    auto relation = lock_ == nullptr ? std::nullopt : domain_relation(pipeline_, *lock_, domain.name);
    if (!relation) {
      if (lock_ != nullptr) {
        note(domain.place, fmt::format("domain {}: the lock file does not know its columns yet; {}", domain.name,
                                       connect_reads_them));
      }
      return;
    }
    for (const SetAside& client : relation->set_aside) {
      note(domain.place,
           fmt::format("domain {}: client {} is set aside: {}", domain.name, client.client, client.reason));
    }
    ViewPlan identity = functions_.identity(domain.name, relation->relation);
    for (size_t i = 0; i < relation->relation.columns.size(); ++i) {
      const std::string& source = relation->relation.columns[i].name;
      const std::string& name = identity.columns()[i].name;
      if (source == name) continue;
      note(domain.place, fmt::format("domain {}: the source's column \"{}\" is called \"{}\", since the name is the "
                                     "pipeline's own",
                                     domain.name, source, name));
    }
    find_owners(domain.name, relation->clients);
    result_.compiled.domains.emplace(domain.name, *std::move(relation));
  }

  void find_reads(size_t index) {
    const ViewConfig& view = pipeline_.views[index];
    std::vector<std::string> names;
    for (const ViewConfig& other : pipeline_.views) names.push_back(other.name);
    for (const RelationRead& read : functions_.reads(view.sql, names)) {
      auto found = static_cast<size_t>(std::find(names.begin(), names.end(), read.name) - names.begin());
      views_[index].reads.push_back({found, pipeline_.place_in_file(view, read.place)});
    }
  }

  // Depth first, so that what a view reads is compiled before it. `path_` holds the views that wait for this one.
  void compile_view(size_t index) {
    View& view = views_[index];
    if (view.progress == Progress::kDone) return;
    view.progress = Progress::kStarted;
    path_.push_back(index);
    bool ready = true;
    for (const View::Read& read : view.reads) {
      if (views_[read.view].progress == Progress::kStarted) {
        report_cycle(read);
        ready = false;
        continue;
      }
      compile_view(read.view);
      if (views_[read.view].relation) continue;
      const std::string& name = pipeline_.views[index].name;
      note(pipeline_.views[index].place, fmt::format("view {}: it is not looked at, since view {} has errors", name,
                                                     pipeline_.views[read.view].name));
      ready = false;
    }
    path_.pop_back();
    view.progress = Progress::kDone;
    if (ready) plan_view(index);
  }

  void report_cycle(const View::Read& closing) {
    std::vector<std::string> names;
    for (auto at = std::find(path_.begin(), path_.end(), closing.view); at != path_.end(); ++at) {
      names.push_back(pipeline_.views[*at].name);
    }
    names.push_back(names.front());
    fail(closing.place, fmt::format("view {}: it reads itself: {}; take one of them out of a FROM",
                                    pipeline_.views[path_.back()].name, fmt::join(names, " → ")));
  }

  using Planned = std::variant<ViewPlan, std::vector<PlanError>>;
  struct PartialColumn {
    size_t relation;  // of the request
    std::string name;
    friend auto operator<=>(const PartialColumn&, const PartialColumn&) = default;
  };

  // Clients that fit and have a column, where not all have it.
  std::vector<std::string> owners(const std::string& domain, const std::string& column) const {
    auto of_domain = owners_.find(domain);
    if (of_domain == owners_.end()) return {};
    auto found = of_domain->second.find(column);
    return found == of_domain->second.end() ? std::vector<std::string>() : found->second;
  }

  void find_owners(const std::string& domain, const std::vector<std::string>& clients) {
    auto& owners = owners_[domain];
    for (const std::string& client : clients) {
      for (const ColumnSchema& column : lock_->domains.at(domain).at(client).columns)
        owners[column.name].push_back(client);
    }
    std::erase_if(owners, [&](const auto& entry) { return entry.second.size() == clients.size(); });
  }

  // In the order of the relations' columns: those that came last are behind.
  std::vector<PartialColumn> partial_columns(const PlanRequest& request, const View& view) const {
    std::vector<PartialColumn> partial;
    for (size_t i = 0; i < request.relations.size(); ++i) {
      const Relation& relation = request.relations[i];
      auto read = std::find_if(view.reads.begin(), view.reads.end(), [&](const View::Read& of) {
        return relation.is_view && pipeline_.views[of.view].name == relation.name;
      });
      for (const OutputColumn& column : relation.columns) {
        bool is_partial = relation.is_view
                              ? read != view.reads.end() && views_[read->view].partial.contains(column.name)
                              : !owners(relation.name, column.name).empty();
        if (is_partial) partial.push_back({i, column.name});
      }
    }
    return partial;
  }

  Planned plan_without(PlanRequest request, const std::set<PartialColumn>& columns) const {
    for (const PartialColumn& left_out : columns) {
      std::erase_if(request.relations[left_out.relation].columns,
                    [&](const OutputColumn& column) { return column.name == left_out.name; });
    }
    return functions_.plan(request);
  }

  // What one client adds to a table must not stop a view of all: its SQL does not compile, and would without some of the columns
  // that not all have. As few of them as may be are left out, those that came last first.
  std::optional<ViewPlan> plan_with_less(const PlanRequest& request, const std::vector<PartialColumn>& partial,
                                         std::set<PartialColumn>& left_out) const {
    for (auto column = partial.rbegin(); column != partial.rend(); ++column) {
      left_out = {*column};
      Planned planned = plan_without(request, left_out);
      if (auto* plan = std::get_if<ViewPlan>(&planned)) return std::move(*plan);
    }
    left_out = {partial.begin(), partial.end()};
    Planned planned = plan_without(request, left_out);
    if (!std::holds_alternative<ViewPlan>(planned)) return std::nullopt;
    for (const PartialColumn& column : partial) {
      left_out.erase(column);
      Planned with_it = plan_without(request, left_out);
      if (std::holds_alternative<ViewPlan>(with_it)) {
        planned = std::move(with_it);
      } else {
        left_out.insert(column);
      }
    }
    return std::get<ViewPlan>(std::move(planned));
  }

  void tell_left_out(const ViewConfig& config, const PlanRequest& request, const std::set<PartialColumn>& left_out,
                     const PlanError& error) {
    for (const PartialColumn& column : left_out) {
      LeftOut told{.clients = {}, .domain = {}, .view = config.name, .message = {}};
      for (const auto& [domain, relation] : result_.compiled.domains) {
        bool is_there = request.relations[column.relation].is_view || request.relations[column.relation].name == domain;
        if (std::vector<std::string> found = owners(domain, column.name); is_there && !found.empty()) {
          told.clients = std::move(found);
          told.domain = domain;
        }
      }
      told.message = fmt::format(
          "view {} is computed without the column {} of {}, which not all clients have and with which its SQL does not "
          "compile ({}). Write the view so that it does with the column, or rename or drop the column in the source",
          config.name, column.name, request.relations[column.relation].name, error.message);
      note(pipeline_.place_in_file(config, error.place), told.message);
      result_.left_out.push_back(std::move(told));
    }
  }

  void plan_view(size_t index) {
    const ViewConfig& config = pipeline_.views[index];
    PlanRequest request{.name = config.name, .sql = config.sql};
    for (const auto& [name, type] : pipeline_.attribute_types()) request.attributes.push_back({name, type});
    for (const auto& [name, domain] : pipeline_.domains) {
      auto known = result_.compiled.domains.find(name);
      request.relations.push_back(known == result_.compiled.domains.end() ? Relation{.name = name}
                                                                          : known->second.relation);
    }
    for (const View::Read& read : views_[index].reads) request.relations.push_back(*views_[read.view].relation);
    std::vector<PartialColumn> partial = partial_columns(request, views_[index]);
    Planned planned = functions_.plan(request);
    if (auto* errors = std::get_if<std::vector<PlanError>>(&planned); errors != nullptr && !partial.empty()) {
      std::set<PartialColumn> left_out;
      if (auto less = plan_with_less(request, partial, left_out)) {
        tell_left_out(config, request, left_out, errors->front());
        planned = *std::move(less);
      }
    }
    if (auto* errors = std::get_if<std::vector<PlanError>>(&planned)) {
      for (const PlanError& error : *errors) {
        fail(pipeline_.place_in_file(config, error.place), fmt::format("view {}: {}", config.name, error.message));
      }
      return;
    }
    auto& plan = std::get<ViewPlan>(planned);
    Relation relation{.name = config.name, .is_view = true};
    if (!plan.nodes.empty()) {
      relation.columns = plan.columns();
      relation.key = plan.key;
      relation.key_always = plan.key_always;
      views_[index].partial = partial_of(plan, request, partial);
      add_view(index, std::move(plan));
    }
    views_[index].relation = std::move(relation);
  }

  // Columns of a view that it has not without what some clients' tables alone have.
  std::set<std::string> partial_of(const ViewPlan& plan, const PlanRequest& request,
                                   const std::vector<PartialColumn>& partial) const {
    std::set<std::string> columns;
    if (partial.empty()) return columns;
    Planned without = plan_without(request, {partial.begin(), partial.end()});
    auto* whole = std::get_if<ViewPlan>(&without);
    if (whole == nullptr || whole->nodes.empty()) return columns;  // it names them: those who read it may, too
    for (const OutputColumn& column : plan.columns()) columns.insert(column.name);
    for (const OutputColumn& column : whole->columns()) columns.erase(column.name);
    return columns;
  }

  void add_view(size_t index, ViewPlan plan) {
    const ViewConfig& config = pipeline_.views[index];
    View& view = views_[index];
    view.stateful =
        plan.keeps_state() || std::any_of(view.reads.begin(), view.reads.end(),
                                          [&](const View::Read& read) { return views_[read.view].stateful; });
    std::vector<std::string> allowed = plan.key;
    if (view.stateful) {
      allowed.clear();
      for (const OutputColumn& column : plan.columns()) allowed.push_back(column.name);
    }
    for (const std::string& column : config.order_by) {
      if (std::find(allowed.begin(), allowed.end(), column) != allowed.end()) continue;
      return fail(
          pipeline_.place_of(config, "order_by"),
          allowed.empty()
              ? fmt::format("view {}: order_by takes the key's columns, and the view has not all of them; select "
                            "them, or take order_by out",
                            config.name)
              : fmt::format("view {}: order_by: \"{}\" is no {}column; there are: {}", config.name, column,
                            view.stateful ? "" : "key ", fmt::join(allowed, ", ")));
    }
    if (!config.order_by.empty()) plan.order_by = config.order_by;
    for (FileError& error : read_table_options(pipeline_, config, plan)) result_.errors.push_back(std::move(error));
    if (config.history) {
      std::vector<std::string> others;
      for (const ViewConfig& other : pipeline_.views) others.push_back(other.name);
      read_history(pipeline_.place_of(config, "history"), "view " + config.name, others, plan);
    }
    result_.compiled.views.push_back(std::move(plan));
  }

  const Pipeline& pipeline_;
  const LockFile* lock_;
  const PlanFunctions& functions_;
  std::vector<View> views_;  // as the pipeline's
  std::map<std::string, std::map<std::string, std::vector<std::string>>> owners_;  // by domain and column
  std::vector<size_t> path_;
  CompileResult result_;
};

}  // namespace

CompileResult compile_pipeline(const Pipeline& pipeline, const LockFile* lock, const PlanFunctions& functions) {
  CompileResult result = Compiler(pipeline, lock, functions).compile();
  auto check_address = [&](const StageTarget& target, const auto& check, std::string_view stage) {
    if (!check || target.at.find("://") == std::string::npos) return;  // what is no address is told already
    Status understood = check(target.at);
    if (!understood.ok())
      result.errors.push_back({pipeline.file, target.place, fmt::format("{}: {}", stage, understood.error().message)});
  };
  check_address(pipeline.raw.target, functions.check_raw, "raw");
  check_address(pipeline.analytics.target, functions.check_analytics, "analytics");
  for (const auto& [id, client] : pipeline.clients) {
    Status understood = functions.check_source ? functions.check_source(client.source) : Status();
    if (understood.ok()) continue;
    result.errors.push_back(
        {pipeline.file, client.source.place, fmt::format("client {}: source: {}", id, understood.error().message)});
  }
  return result;
}

CheckResult check_pipeline(const std::string& path, const PlanFunctions& functions, const LoadOptions& options) {
  CheckResult result;
  LoadOptions with_sql = options;
  with_sql.further = [&](const Pipeline& pipeline) {
    auto lock = read_lock(lock_path(path));
    auto* known = std::get_if<std::optional<LockFile>>(&lock);
    auto errors = compile_pipeline(pipeline, known != nullptr && *known ? &**known : nullptr, functions).errors;
    if (options.further) std::ranges::move(options.further(pipeline), std::back_inserter(errors));
    return errors;
  };
  auto loaded = load_pipeline(path, with_sql);
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
  for (FileError& note : without_effect(*result.pipeline)) result.notes.push_back(std::move(note));
  sort_errors(result.errors);
  sort_errors(result.notes);
  return result;
}

}  // namespace tributary
