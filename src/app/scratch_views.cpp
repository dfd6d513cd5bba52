#include "app/scratch_views.h"

#include <algorithm>

#include "app/pipeline_plan.h"
#include "app/store_answer.h"
#include "base/clickhouse_tokens.h"
#include "store/clickhouse/clickhouse_types.h"

namespace tributary {
namespace {

using nlohmann::json;

// No view's name begins with a space.
constexpr const char* table_prefix = " preview ";

std::mutex& one_at_a_time() {
  static std::mutex mutex;
  return mutex;
}

std::filesystem::path folder_of(const Assembly& assembly) {
  return std::filesystem::path(assembly.pipeline.data) / "run" / "preview";
}

}  // namespace

Result<std::unique_ptr<ScratchViews>> ScratchViews::make(const Assembly& assembly, const std::string& views,
                                                         std::function<bool()> wanted) {
  if (assembly.runtime == nullptr || assembly.store == nullptr)
    return Error{ErrorCode::kUnsupported, "the running pipeline does not process, or has no analytics"};
  std::unique_lock only(one_at_a_time(), std::try_to_lock);
  if (!only.owns_lock())
    return Error{ErrorCode::kUnavailable,
                 "another preview, trace or verify --against raw is computed just now; try again"};
  std::unique_ptr<ScratchViews> made(new ScratchViews(assembly, std::move(wanted), std::move(only)));
  RETURN_IF_ERROR(made->make_plan(views));
  return made;
}

ScratchViews::~ScratchViews() {
  recompute_.reset();
  (void)drop_tables();
  remove_folder();
}

Status ScratchViews::make_plan(const std::string& views) {
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
  ASSIGN_OR_RETURN(plan_, planner.plan(known, views));
  for (const PlanProblem& problem : plan_.set_aside) {
    if (problem.client.value.empty()) return Error{ErrorCode::kInvalidInput, problem.reason};
  }
  return {};
}

std::set<std::string> ScratchViews::view_names() const {
  std::set<std::string> names;
  for (const ViewPlan& view : plan_.views) names.insert(view.name);
  return names;
}

const ViewPlan* ScratchViews::view(const std::string& name) const {
  auto at = std::find_if(plan_.views.begin(), plan_.views.end(), [&](const ViewPlan& of) { return of.name == name; });
  return at == plan_.views.end() ? nullptr : &*at;
}

Result<Recompute*> ScratchViews::begin(const ClientId& client, std::set<std::string> views) {
  recompute_.reset();
  RETURN_IF_ERROR(drop_tables());
  remove_folder();
  std::error_code failed;
  std::filesystem::create_directories(folder_of(assembly_), failed);
  if (failed) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("cannot make {}: {}", folder_of(assembly_).string(), failed.message())};
  }
  request_ = std::make_unique<RecomputeRequest>();
  request_->client = client;
  request_->plan = plan_;
  request_->views = std::move(views);
  request_->table_prefix = table_prefix;
  request_->folder = folder_of(assembly_);
  for (auto& [id, values] : attribute_columns(assembly_.pipeline)) request_->attributes[id] = {1, std::move(values)};
  for (const auto& [name, domain] : assembly_.pipeline.domains) {
    bool aside = std::any_of(plan_.set_aside.begin(), plan_.set_aside.end(), [&](const PlanProblem& problem) {
      return problem.client == client && problem.domain == name;
    });
    if (!aside) request_->tables[name] = domain.table;
  }
  request_->progress = [this](uint64_t) { return wanted_(); };
  EventLog& log = *assembly_.log;
  ASSIGN_OR_RETURN(recompute_,
                   Recompute::make({.raw = *assembly_.raw,
                                    .store = *assembly_.store,
                                    .expressions = *duckdb_,
                                    .find_schema = [&log](const ClientId& of, const std::string& table,
                                                          uint32_t version) { return log.schema(of, table, version); }},
                                   *request_));
  return recompute_.get();
}

Result<uint64_t> ScratchViews::compute(const ClientId& client, std::set<std::string> views) {
  ASSIGN_OR_RETURN(Recompute * of, begin(client, std::move(views)));
  RETURN_IF_ERROR(of->feed());
  RETURN_IF_ERROR(of->flush());
  return of->events();
}

std::string ScratchViews::table_of(const std::string& view) { return table_prefix + view; }

Result<json> ScratchViews::rows_of(const ClientId& client, const std::string& view_name, const std::string& condition,
                                   size_t limit) {
  std::string columns;
  for (const OutputColumn& column : view(view_name)->columns())
    columns += (columns.empty() ? "" : ", ") + quote_identifier(column.name);
  ASSIGN_OR_RETURN(
      StoreAnswer answer,
      ask_store(*assembly_.store, fmt::format("SELECT {} FROM {} FINAL WHERE {} = {} AND ({}) ORDER BY {} LIMIT {} "
                                              "SETTINGS output_format_json_quote_decimals = 1",
                                              columns, quote_identifier(table_of(view_name)), client_id_column,
                                              quote_text(client.value), condition, key_column, limit)));
  return json{{"columns", answer.columns}, {"rows", std::move(answer.rows)}};
}

Status ScratchViews::drop_tables() {
  ASSIGN_OR_RETURN(StoreAnswer names,
                   ask_store(*assembly_.store, fmt::format("SELECT name FROM system.tables WHERE database = "
                                                           "currentDatabase() AND startsWith(name, {})",
                                                           quote_text(table_prefix))));
  for (const json& row : names.rows) RETURN_IF_ERROR(assembly_.store->drop(row[0].get<std::string>()));
  return {};
}

void ScratchViews::remove_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_of(assembly_), ignored);
}

std::string live_table(const Assembly& assembly, const std::string& view) {
  for (const auto& release : assembly.runtime->releases()) {
    if (!release.live) continue;
    for (const auto& build : release.builds) {
      if (build.name == view) return build.table;
    }
  }
  return "";
}

std::string live_views(const Assembly& assembly) {
  for (const auto& release : assembly.runtime->releases()) {
    if (release.live) return release.views;
  }
  return "[]";
}

}  // namespace tributary
