#include "sql/view_planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "contracts/text_place.h"
#include "sql/clause_refusals.h"
#include "sql/select_planner.h"
#include "sql/union_planner.h"
#include "sql/view_names.h"

namespace tributary {
namespace {

class QueryPlanner {
 public:
  explicit QueryPlanner(PlanningContext& context) : context_(context) {}

  std::optional<PlannedRows> plan(const Query& query) {
    for (const Clause& clause : query.clauses) context_.fail(clause.offset, clause_refusal(clause.kind));
    for (const std::vector<Clause>* clauses : {&query.clauses, &query.select.clauses}) {
      for (const Clause& clause : *clauses) {
        if (clause.kind != ClauseKind::kWith) continue;
        context_.fail(clause.offset, clause_refusal(clause.kind));
        return std::nullopt;  // what reads its relations would only have errors that follow
      }
    }
    return query.inputs.empty() ? SelectPlanner(context_, query.select).plan() : plan_union(query);
  }

 private:
  std::optional<PlannedRows> plan_union(const Query& query) {
    std::vector<PlannedRows> inputs;
    for (const Query& input : query.inputs) {
      if (auto rows = plan(input)) inputs.push_back(*std::move(rows));
    }
    if (inputs.size() != query.inputs.size() || !context_.errors.empty()) return std::nullopt;
    auto rows = unite(context_, inputs, query.offsets);
    return rows && query.distinct ? distinct_rows(context_, *std::move(rows), query.offsets[0]) : rows;
  }

  PlanningContext& context_;
};

}  // namespace

std::variant<ViewPlan, std::vector<PlanError>> plan_view(DuckDbEngine& engine, const ViewRequest& request) {
  auto parsed = parse_query(engine, request.sql);
  if (auto* errors = std::get_if<std::vector<PlanError>>(&parsed)) return std::move(*errors);
  PlanningContext context{.engine = engine, .request = request, .errors = {}, .nodes = {}, .names_taken = {}};
  auto rows = QueryPlanner(context).plan(std::get<Query>(parsed));
  if (!context.errors.empty()) return std::move(context.errors);
  ViewPlan plan{.name = request.name};
  if (rows) {
    CHECK(rows->node + 1 == context.nodes.size());
    plan.nodes = std::move(context.nodes);
    plan.key = rows->key;
    plan.key_always = rows->key_always;
    plan.order_by = rows->key;
  }
  return plan;
}

std::vector<RelationUse> relations_read(DuckDbEngine& engine, std::string_view sql,
                                        const std::vector<std::string>& names) {
  std::vector<RelationUse> uses;
  auto parsed = parse_query(engine, sql);
  if (!std::holds_alternative<Query>(parsed)) return uses;
  for (const TableReference& table : relations_of(std::get<Query>(parsed))) {
    if (!table.schema.empty()) continue;
    bool known =
        std::any_of(uses.begin(), uses.end(), [&](const RelationUse& use) { return same_name(use.name, table.name); });
    if (known) continue;
    for (const std::string& name : names) {
      if (same_name(name, table.name)) uses.push_back({name, place_at(sql, table.offset)});
    }
  }
  return uses;
}

}  // namespace tributary
