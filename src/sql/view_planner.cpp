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
    if (!query.inputs.empty()) return plan_union(query);
    if (query.select.select_list.empty()) return std::nullopt;  // a clause that is refused stands in its place
    return SelectPlanner(context_, query.select).plan();
  }

 private:
  // The SELECTs of a chain of UNION ALLs, and where each is joined to those before it.
  struct Branch {
    const Query* query;
    size_t offset;
  };
  static void flatten(const Query& query, std::vector<Branch>& branches) {
    const Query& left = query.inputs[0];
    if (!left.inputs.empty() && !left.distinct && left.clauses.empty()) {
      flatten(left, branches);
    } else {
      branches.push_back({&left, query.offset});
    }
    branches.push_back({&query.inputs[1], query.offset});
  }

  std::optional<PlannedRows> plan_union(const Query& query) {
    std::vector<Branch> branches;
    flatten(query, branches);
    std::vector<PlannedRows> inputs;
    for (const Branch& branch : branches) {
      if (auto rows = plan(*branch.query)) inputs.push_back(*std::move(rows));
    }
    if (inputs.size() != branches.size() || !context_.errors.empty()) return std::nullopt;
    if (inputs.size() > union_inputs_max) return std::nullopt;
    std::vector<size_t> offsets;
    for (const Branch& branch : branches) offsets.push_back(branch.offset);
    auto rows = unite(context_, std::move(inputs), offsets);
    if (rows && query.distinct) rows = distinct_rows(context_, *std::move(rows), query.offset);
    return rows;
  }

  PlanningContext& context_;
};

}  // namespace

std::variant<ViewPlan, std::vector<PlanError>> plan_view(DuckDbEngine& engine, const ViewRequest& request) {
  auto parsed = parse_query(engine, request.sql);
  if (auto* errors = std::get_if<std::vector<PlanError>>(&parsed)) return std::move(*errors);
  PlanningContext context{.engine = engine, .request = request, .errors = {}, .nodes = {}, .names_taken = {}};
  auto rows = QueryPlanner(context).plan(std::get<Query>(parsed));
  if (!context.errors.empty()) {
    std::stable_sort(context.errors.begin(), context.errors.end(), [](const PlanError& a, const PlanError& b) {
      return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
    });
    return std::move(context.errors);
  }
  ViewPlan plan{.name = request.name};
  if (rows) {
    CHECK(rows->node + 1 == context.nodes.size());
    plan.nodes = std::move(context.nodes);
    plan.key = rows->key;
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
    for (const std::string& name : names) {
      bool known = std::any_of(uses.begin(), uses.end(), [&](const RelationUse& use) { return use.name == name; });
      if (same_name(name, table.name) && !known) uses.push_back({name, place_at(sql, table.offset)});
    }
  }
  return uses;
}

}  // namespace tributary
