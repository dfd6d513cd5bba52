#include "app/preview.h"

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "app/control_releases.h"
#include "app/pipeline_plan.h"
#include "app/table_diff.h"
#include "base/clickhouse_tokens.h"
#include "config/views_text.h"
#include "runtime/recompute.h"
#include "store/clickhouse/clickhouse_types.h"

namespace tributary {
namespace {

using nlohmann::json;

// No view's name begins with a space.
constexpr const char* table_prefix = " preview ";
constexpr int attempts_max = 3;

// One at a time: its tables' names are the same each time, so that what a killed one left is found.
std::mutex& one_at_a_time() {
  static std::mutex mutex;
  return mutex;
}

class ScratchFolder {
 public:
  static Result<std::unique_ptr<ScratchFolder>> make(const std::filesystem::path& parent) {
    std::error_code failed;
    std::filesystem::remove_all(parent, failed);  // what a killed one left
    std::filesystem::create_directories(parent, failed);
    if (failed)
      return Error{ErrorCode::kResourceExhausted, fmt::format("cannot make {}: {}", parent.string(), failed.message())};
    return std::make_unique<ScratchFolder>(parent);
  }
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class Preview {
 public:
  Preview(const Assembly& assembly, std::string views, const std::function<bool()>& wanted)
      : assembly_(assembly), views_(std::move(views)), wanted_(wanted) {}
  ~Preview() { (void)drop_tables(); }

  Status plan() {
    ASSIGN_OR_RETURN(duckdb_, DuckDbEngine::open());
    auto stored = read_lock(lock_path(assembly_.pipeline.file));
    auto* lock = std::get_if<std::optional<LockFile>>(&stored);
    RuntimePlanner planner(assembly_.pipeline, lock == nullptr ? LockFile{} : std::move(*lock).value_or(LockFile{}),
                           *duckdb_);
    std::vector<ClientTable> known;
    for (const auto& [id, config] : assembly_.pipeline.clients) {
      ASSIGN_OR_RETURN(auto schemas, assembly_.log->newest_schemas(ClientId{id}));
      for (const SchemaPtr& schema : schemas) {
        for (const auto& [name, domain] : assembly_.pipeline.domains) {
          if (domain.table == schema->table) known.push_back({ClientId{id}, name, schema});
        }
      }
    }
    ASSIGN_OR_RETURN(plan_, planner.plan(known, views_));
    for (const PlanProblem& problem : plan_.set_aside) {
      if (problem.client.value.empty()) return Error{ErrorCode::kInvalidInput, problem.reason};
    }
    return {};
  }

  std::set<std::string> view_names() const {
    std::set<std::string> names;
    for (const ViewPlan& view : plan_.views) names.insert(view.name);
    return names;
  }

  Result<uint64_t> compute(const ClientId& client, std::set<std::string> views) {
    RETURN_IF_ERROR(drop_tables());
    ASSIGN_OR_RETURN(auto folder,
                     ScratchFolder::make(std::filesystem::path(assembly_.pipeline.data) / "run" / "preview"));
    RecomputeRequest request{.client = client,
                             .plan = plan_,
                             .views = std::move(views),
                             .table_prefix = table_prefix,
                             .folder = folder->path()};
    for (auto& [id, values] : attribute_columns(assembly_.pipeline)) request.attributes[id] = {1, std::move(values)};
    for (const auto& [name, domain] : assembly_.pipeline.domains) {
      bool aside = std::any_of(plan_.set_aside.begin(), plan_.set_aside.end(), [&](const PlanProblem& problem) {
        return problem.client == client && problem.domain == name;
      });
      if (!aside) request.tables[name] = domain.table;
    }
    request.progress = [this](uint64_t) { return wanted_(); };
    EventLog& log = *assembly_.log;
    return recompute({.raw = *assembly_.raw,
                      .store = *assembly_.store,
                      .expressions = *duckdb_,
                      .find_schema = [&log](const ClientId& of, const std::string& table,
                                            uint32_t version) { return log.schema(of, table, version); }},
                     request);
  }

  Result<json> rows_of(const ClientId& client, const std::string& view, size_t limit) {
    std::string columns;
    for (const ViewPlan& plan : plan_.views) {
      if (plan.name != view) continue;
      for (const OutputColumn& column : plan.columns())
        columns += (columns.empty() ? "" : ", ") + quote_identifier(column.name);
    }
    ASSIGN_OR_RETURN(std::string answer, assembly_.store->execute(
                                             fmt::format("SELECT {} FROM {} FINAL WHERE {} = {} ORDER BY {} LIMIT {}",
                                                         columns, quote_identifier(table_prefix + view),
                                                         client_id_column, quote_text(client.value), key_column, limit),
                                             "JSONCompact"));
    json parsed = json::parse(answer, nullptr, false);
    if (!parsed.is_object()) return Error{ErrorCode::kInternal, "the analytics store's answer does not parse"};
    json names = json::array();
    for (const json& column : parsed["meta"]) names.push_back(column["name"]);
    return json{{"columns", std::move(names)}, {"rows", parsed["data"]}};
  }

 private:
  Status drop_tables() {
    ASSIGN_OR_RETURN(std::string names,
                     assembly_.store->execute(fmt::format("SELECT name FROM system.tables WHERE database = "
                                                          "currentDatabase() AND startsWith(name, {})",
                                                          quote_text(table_prefix)),
                                              "JSONCompact"));
    json parsed = json::parse(names, nullptr, false);
    if (!parsed.is_object()) return {};
    for (const json& row : parsed["data"]) RETURN_IF_ERROR(assembly_.store->drop(row[0].get<std::string>()));
    return {};
  }

  const Assembly& assembly_;
  std::string views_;
  const std::function<bool()>& wanted_;
  std::unique_ptr<DuckDbEngine> duckdb_;
  PlannedPipeline plan_;
};

// The table that readers see of a view; empty: none.
std::string live_table(const Assembly& assembly, const std::string& view) {
  for (const auto& release : assembly.runtime->releases()) {
    if (!release.live) continue;
    for (const auto& build : release.builds) {
      if (build.name == view) return build.table;
    }
  }
  return "";
}

Result<json> preview(const Assembly& assembly, const json& request, const std::function<bool()>& wanted) {
  ClientId client{request.value("client", "")};
  std::string view = request.value("view", "");
  auto samples = request.value("samples", size_t{10});
  Preview of(assembly, request.value("views", ""), wanted);
  RETURN_IF_ERROR(of.plan());
  if (!of.view_names().contains(view)) return Error{ErrorCode::kInvalidInput, fmt::format("there is no view {}", view)};
  ASSIGN_OR_RETURN(uint64_t events, of.compute(client, {view}));
  ASSIGN_OR_RETURN(TableDiff diff,
                   diff_tables(*assembly.store, live_table(assembly, view), table_prefix + view, client, samples));
  json answer = diff.to_json();
  answer["view"] = view;
  answer["client"] = client.value;
  answer["events"] = events;
  ASSIGN_OR_RETURN(answer["preview"], of.rows_of(client, view, samples));
  return answer;
}

// While the pipeline runs, what is live goes on: a difference counts where nothing has changed meanwhile.
Result<json> compare_with_raw(const Assembly& assembly, const json& request, const std::function<bool()>& wanted) {
  std::string live_views;
  for (const auto& release : assembly.runtime->releases()) {
    if (release.live) live_views = release.views;
  }
  Preview of(assembly, live_views, wanted);
  RETURN_IF_ERROR(of.plan());
  std::set<std::string> views = of.view_names();
  if (std::string only = request.value("view", ""); !only.empty()) {
    if (!views.contains(only)) return Error{ErrorCode::kInvalidInput, fmt::format("view {} is not live", only)};
    views = {only};
  }
  std::string only_client = request.value("client", "");
  json answer{{"views", json::array()}};
  for (const auto& [id, config] : assembly.pipeline.clients) {
    if (!only_client.empty() && id != only_client) continue;
    json entries;
    bool settled = false;
    for (int attempt = 0; attempt < attempts_max && !settled; ++attempt) {
      entries = json::array();
      auto ends = assembly.log->ends();
      ASSIGN_OR_RETURN(uint64_t events, of.compute(ClientId{id}, views));
      bool equal = true;
      for (const std::string& view : views) {
        ASSIGN_OR_RETURN(TableDiff diff, diff_tables(*assembly.store, live_table(assembly, view), table_prefix + view,
                                                     ClientId{id}, request.value("samples", size_t{5})));
        json entry = diff.to_json();
        entry["view"] = view;
        entry["client"] = id;
        entry["events"] = events;
        equal = equal && diff.none();
        entries.push_back(std::move(entry));
      }
      settled = equal || (ends == assembly.log->ends() && assembly.runtime->queryable(ends));
    }
    if (!settled) {
      return Error{
          ErrorCode::kUnavailable,
          fmt::format("client {} changed all the time, so that its tables and raw were never the same moment: stop "
                      "its writers for a while, or the pipeline",
                      id)};
    }
    for (json& entry : entries) answer["views"].push_back(std::move(entry));
  }
  return answer;
}

}  // namespace

std::optional<Result<json>> answer_preview_request(const Assembly& assembly, const json& request,
                                                   const std::function<bool()>& wanted) {
  std::string command = request.value("command", "");
  if (command != "preview" && command != "compare_with_raw") return std::nullopt;
  if (assembly.runtime == nullptr || assembly.store == nullptr)
    return Result<json>(Error{ErrorCode::kUnsupported, "the running pipeline does not process, or has no analytics"});
  std::unique_lock only(one_at_a_time(), std::try_to_lock);
  if (!only.owns_lock())
    return Result<json>(Error{ErrorCode::kUnavailable, "another preview is computed just now; try again"});
  return command == "preview" ? preview(assembly, request, wanted) : compare_with_raw(assembly, request, wanted);
}

}  // namespace tributary
