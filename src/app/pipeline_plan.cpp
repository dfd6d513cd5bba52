#include "app/pipeline_plan.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "app/raw_choice.h"
#include "capture/debezium/debezium_url.h"
#include "config/views_text.h"
#include "sql/view_planner.h"
#include "store/clickhouse/clickhouse_url.h"

namespace tributary {
namespace {

ViewRequest view_request(const PlanRequest& request) {
  return {.name = request.name, .sql = request.sql, .relations = request.relations, .attributes = request.attributes};
}

// "customers, sales": the views that read the domain, also through others.
std::string readers_of(const std::string& domain, const std::vector<ViewPlan>& views) {
  std::set<std::string> reading;
  std::vector<std::string> names;
  for (const ViewPlan& view : views) {
    bool reads = std::any_of(view.nodes.begin(), view.nodes.end(), [&](const PlanNode& node) {
      return (node.kind == NodeKind::kDomain && node.relation == domain) ||
             (node.kind == NodeKind::kView && reading.contains(node.relation));
    });
    if (!reads) continue;
    reading.insert(view.name);
    names.push_back(view.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

// Which views do not follow the client, and what is in them meanwhile.
std::string with_consequence(const SetAside& client, const std::string& domain, const std::vector<ViewPlan>& views) {
  std::string readers = readers_of(domain, views);
  if (readers.empty()) return client.reason;
  return fmt::format("{}. Views that stand still for the client: {}; {}", client.reason, readers,
                     client.as_it_fit ? "they show what the table had while it fit"
                                      : "they have nothing of the table, which never fit");
}

// Whose table has not all columns of the domain that views use: those are NULL, by rule, and nobody's figures become empty
// without a word.
std::vector<PlanProblem> lacking_columns(const std::string& domain, const DomainRelation& relation,
                                         const std::map<std::string, TableSchema>& tables,
                                         const std::vector<ViewPlan>& views) {
  std::map<std::string, std::set<std::string>> users;  // of a column
  for (const ViewPlan& view : views) {
    for (const PlanNode& node : view.nodes) {
      if (node.kind != NodeKind::kDomain || node.relation != domain) continue;
      for (const OutputColumn& column : node.columns) users[column.name].insert(view.name);
    }
  }
  std::vector<PlanProblem> lacking;
  for (const std::string& client : relation.clients) {
    const TableSchema& table = tables.at(client);
    for (const OutputColumn& column : relation.relation.columns) {
      auto used = users.find(column.name);
      if (used == users.end()) continue;
      bool has = std::any_of(table.columns.begin(), table.columns.end(),
                             [&](const ColumnSchema& of) { return of.name == column.name; });
      if (has) continue;
      lacking.push_back({ClientId{client},
                         domain,
                         fmt::format("the client's table {} has no column {}, which others have: it is NULL for the "
                                     "client where views use it: {}. Give the table the column, or change the views; "
                                     "of one that has another name here, coalesce({}, …) takes either",
                                     table.table, column.name, fmt::join(used->second, ", "), column.name),
                         {}});
    }
  }
  return lacking;
}

}  // namespace

PlanFunctions plan_functions(DuckDbEngine& engine) {
  return {.plan = [&engine](const PlanRequest& request) { return plan_view(engine, view_request(request)); },
          .identity = [](const std::string& name, const Relation& relation) { return identity_view(name, relation); },
          .reads =
              [&engine](std::string_view sql, const std::vector<std::string>& names) {
                std::vector<RelationRead> reads;
                for (RelationUse& use : relations_read(engine, sql, names))
                  reads.push_back({std::move(use.name), use.place});
                return reads;
              },
          .check_source = [](const SourceUrl& url) -> Status {
            if (url.scheme != "debezium+kafka") return {};
            auto target = parse_debezium_url(url.text);
            return target.ok() ? Status() : Status(target.error());
          },
          .check_analytics = [](const std::string& at) -> Status {
            auto target = parse_clickhouse_url(at);
            return target.ok() ? Status() : Status(target.error());
          },
          .check_raw = check_raw_address};
}

RuntimePlanner::RuntimePlanner(const Pipeline& pipeline, LockFile lock, DuckDbEngine& engine)
    : pipeline_(pipeline),
      views_(views_text(pipeline.views)),
      lock_(std::move(lock)),
      functions_(plan_functions(engine)) {
  lock_.pipeline = pipeline.name;
}

Result<PlannedPipeline> RuntimePlanner::plan(const std::vector<ClientTable>& tables, const std::string& views) {
  const LockFile before = lock_;
  for (const ClientTable& table : tables) {
    TableSchema schema = *table.schema;
    schema.version = 0;
    note_table(lock_, before, table.domain, table.client.value, std::move(schema));
  }
  note_who_fits(pipeline_, lock_);
  RETURN_IF_ERROR(write_lock(lock_path(pipeline_.file), lock_));
  std::optional<Pipeline> other;
  if (views != views_) {
    other = pipeline_;
    other->tests.clear();
    ASSIGN_OR_RETURN(other->views, parse_views_text(views));
  }
  const Pipeline& pipeline = other ? *other : pipeline_;
  CompileResult result = compile_pipeline(pipeline, &lock_, functions_);
  PlannedPipeline planned;
  for (auto& [name, domain] : result.compiled.domains) {
    for (SetAside& client : domain.set_aside) {
      planned.set_aside.push_back({ClientId{client.client}, name, with_consequence(client, name, result.compiled.views),
                                   std::move(client.as_it_fit)});
    }
    // Without views a client's tables are shown as they are.
    if (!pipeline.views.empty()) {
      for (PlanProblem& lacks : lacking_columns(name, domain, lock_.domains.at(name), result.compiled.views))
        planned.lacking.push_back(std::move(lacks));
    }
    planned.relations[name] = std::move(domain.relation);
  }
  for (const LeftOut& left_out : result.left_out) {
    for (const std::string& client : left_out.clients)
      planned.lacking.push_back({ClientId{client}, left_out.domain, left_out.message, {}});
  }
  planned.views = std::move(result.compiled.views);
  for (const ViewConfig& view : pipeline.views) planned.named.insert(view.name);
  if (pipeline.views.empty()) {
    for (const auto& [name, domain] : pipeline.domains) planned.named.insert(name);
  }
  // Views of another release than the file's have no place in it.
  for (const FileError& error : result.errors)
    planned.set_aside.push_back({ClientId{}, "", other ? error.message : error.to_string(), {}});
  return planned;
}

std::map<ClientId, std::map<std::string, Column>> attribute_columns(const Pipeline& pipeline) {
  std::map<ClientId, std::map<std::string, Column>> all;
  auto types = pipeline.attribute_types();
  for (const auto& [id, client] : pipeline.clients) {
    auto& columns = all[ClientId{id}];
    for (const auto& [name, type] : types) {
      Column& column = columns.try_emplace(name, type).first->second;
      append_attribute(column, client.attributes, name);
    }
  }
  return all;
}

}  // namespace tributary
