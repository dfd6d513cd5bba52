#include "sql/select_planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "sql/clause_refusals.h"
#include "sql/expression_checks.h"
#include "sql/functions.h"
#include "sql/view_names.h"

namespace tributary {

std::optional<PlannedRows> SelectPlanner::plan() {
  refuse_clauses();
  from_.check_forms();
  read_items();
  read_conditions();
  read_groups();
  aggregated_ =
      !select_.group_by.empty() || !groups_.empty() || select_.having ||
      std::any_of(items_.begin(), items_.end(), [](const Item& item) { return contains_aggregate(item.expression); }) ||
      (select_.qualify && contains_aggregate(*select_.qualify));
  if (select_.having) having_ = read_above(*select_.having, "HAVING");
  read_qualify();
  check_names();
  // What is wrong with names is told before types are looked at.
  if (!clean() || !scope_.known()) return std::nullopt;
  type_conditions();
  auto planned = aggregated_ ? plan_aggregate() : plan_rows();
  if (!planned || !clean()) return std::nullopt;
  return select_.distinct ? distinct_rows(context_, *std::move(planned), *select_.distinct) : std::move(planned);
}

void SelectPlanner::refuse_clauses() {
  for (const Clause& clause : select_.clauses) context_.fail(clause.offset, clause_refusal(clause.kind));
}

void SelectPlanner::read_items() {
  for (const Expression& item : select_.select_list) {
    if (item.kind == ExpressionKind::kStar) {
      if (!item.alias.empty()) context_.fail(item.offset, "* has an alias for each column; list the columns");
      add_star(item);
      continue;
    }
    size_t errors = context_.errors.size();
    Expression resolved = read(item, "SELECT", aliases_);
    items_.push_back({resolved, name_of(item), item.offset});
    items_.back().failed = context_.errors.size() != errors;
    const ScopeColumn* column = nullptr;
    if (item.kind == ExpressionKind::kColumn && resolved.kind == ExpressionKind::kColumn) {
      column = scope_.find_column(resolved.name_parts[0]);
    }
    if (column != nullptr) {
      if (item.alias.empty()) items_.back().name = column->display;
      items_.back().renamed = !column->attribute && items_.back().name == column->display;
    }
    if (item.kind == ExpressionKind::kCollate) {
      context_.fail(item.offset, "COLLATE is for comparisons, and a column keeps none; leave it out");
    }
    if (!item.alias.empty()) aliases_.push_back({item.alias, std::move(resolved)});
  }
}

void SelectPlanner::add_star(const Expression& star) {
  if (star.star_modified) {
    context_.fail(star.offset, "REPLACE, RENAME and COLUMNS() are not supported; list the columns, or use EXCLUDE");
    return;
  }
  for (const ScopeColumn* column : scope_.expand(star)) {
    items_.push_back({column_expression(column->name, star.offset), column->display, star.offset, true, true});
  }
}

// The alias, the column's name, or the expression's text.
std::string SelectPlanner::name_of(const Expression& item) {
  if (!item.alias.empty()) return item.alias;
  if (item.kind == ExpressionKind::kColumn) return item.name_parts.back();
  auto sql = expression_sql(context_.engine, item);
  return sql.ok() ? std::move(sql).value() : "";
}

// Checks and resolves. An alias may stand for more than the clause may hold.
Expression SelectPlanner::read(const Expression& expression, std::string_view clause,
                               const std::vector<Alias>& aliases) {
  check_expression(context_, expression, clause);
  Expression resolved = scope_.resolve(expression, aliases);
  if (clause == "SELECT") return resolved;
  if (contains_aggregate(resolved) && !contains_aggregate(expression)) {
    context_.fail(expression.offset, fmt::format("{} names an aggregate of the SELECT list; {}", clause,
                                                 clause == "WHERE" ? "write HAVING" : "group by what it is made of"));
  } else if (contains_window(resolved) && !contains_window(expression)) {
    context_.fail(expression.offset, fmt::format("{} names a window of the SELECT list; write QUALIFY", clause));
  }
  return resolved;
}

void SelectPlanner::read_conditions() {
  for (const Join& join : select_.joins) {
    on_.emplace_back();
    if (join.condition) on_.back() = read(*join.condition, "ON", {});
  }
  if (select_.where) where_ = read(*select_.where, "WHERE", aliases_);
}

void SelectPlanner::type_conditions() {
  for (size_t i = 0; i < on_.size(); ++i) from_.read_join(i, on_[i] ? &*on_[i] : nullptr);
  if (where_) from_.read_where(*where_);
}

std::optional<Expression> SelectPlanner::group_of_ordinal(const Expression& ordinal) {
  int64_t number = *ordinal.integer;
  if (number < 1 || static_cast<size_t>(number) > items_.size()) {
    context_.fail(ordinal.offset, fmt::format("GROUP BY {}: the SELECT list has {} columns", number, items_.size()));
    return std::nullopt;
  }
  const Expression& item = items_[static_cast<size_t>(number) - 1].expression;
  if (contains_aggregate(item) || contains_window(item)) {
    context_.fail(ordinal.offset,
                  fmt::format("GROUP BY {}: column {} is an aggregate; group by another", number, number));
    return std::nullopt;
  }
  return item;
}

void SelectPlanner::read_groups() {
  auto add = [&](Expression group) {
    group_identities_.insert(expression_identity(group));
    groups_.push_back(std::move(group));
  };
  for (const Expression& group : select_.group_by) {
    if (group.integer) {
      if (auto item = group_of_ordinal(group)) add(*std::move(item));
    } else {
      add(read(group, "GROUP BY", aliases_));
    }
  }
  if (!select_.group_by_all) return;
  // ALL leaves constants out, as DuckDB's does: where there is nothing else, there is no GROUP BY.
  for (const Item& item : items_) {
    bool constant = true;
    for_each_column(item.expression, [&](const Expression&) { constant = false; });
    if (!constant && !contains_aggregate(item.expression) && !contains_window(item.expression)) add(item.expression);
  }
}

// HAVING and QUALIFY. In HAVING what is not grouped by is an alias first, but inside an aggregate.
Expression SelectPlanner::read_above(const Expression& expression, std::string_view clause) {
  check_expression(context_, expression, clause);
  auto grouped = [&](const std::string& name) {
    return group_identities_.contains(expression_identity(column_expression(name, 0)));
  };
  auto alias_first = [&](const std::string& name) { return clause == "HAVING" && !grouped(name); };
  Expression resolved = scope_.resolve(expression, aliases_, alias_first);
  if (!select_.group_by_all || clause != "HAVING") return resolved;
  // DuckDB, which runs the view in batch, groups by such a column as well.
  bool adds = false;
  rewrite(resolved, [&](const Expression& part) -> std::optional<Expression> {
    if (part.kind == ExpressionKind::kFunction && is_aggregate_function(part.name)) return part;
    adds = adds || (part.kind == ExpressionKind::kColumn && !grouped(part.name_parts[0]));
    return std::nullopt;
  });
  if (adds) {
    context_.fail(expression.offset,
                  "HAVING by what is computed of columns goes with the groups' names, not with GROUP BY ALL; write "
                  "GROUP BY …");
  }
  return resolved;
}

void SelectPlanner::read_qualify() {
  if (select_.qualify) {
    size_t errors = context_.errors.size();
    if (select_.group_by_all) {  // DuckDB, which runs the view in batch, has no such thing
      context_.fail(select_.qualify->offset,
                    "QUALIFY goes with the groups' names, not with GROUP BY ALL; write GROUP BY …");
    }
    Expression qualify = read_above(*select_.qualify, "QUALIFY");
    if (context_.errors.size() == errors) {
      if (const Expression* window = first_row_window(context_, qualify)) window_ = *window;
    }
  }
  std::string identity = window_ ? expression_identity(*window_) : "";
  for (Item& item : items_) {
    if (window_) {
      item.expression = rewrite(item.expression, [&](const Expression& part) -> std::optional<Expression> {
        bool same = part.kind == ExpressionKind::kWindow && expression_identity(part) == identity;
        return same ? std::optional(one_expression(part.offset)) : std::nullopt;
      });
    }
    if (!contains_window(item.expression) || (select_.qualify && !window_)) continue;
    context_.fail(item.offset,
                  "window functions are not supported in SELECT; the form is QUALIFY row_number() OVER (PARTITION BY … "
                  "ORDER BY …) = 1");
  }
}

void SelectPlanner::check_names() {
  std::set<std::string> names;
  for (const Item& item : items_) {
    if (item.failed) continue;
    if (!item.renamed && is_reserved_name(item.name)) {
      context_.fail(item.offset,
                    fmt::format("\"{}\" is a name of the pipeline's own; give the column another alias", item.name));
    } else if (!names.insert(item.name).second) {
      context_.fail(
          item.offset,
          fmt::format(fmt::runtime(item.star ? "* gives two columns \"{0}\"; list the columns, or write "
                                               "* EXCLUDE ({0}) and name those wanted"
                                             : "two columns are called \"{0}\"; give one of them another alias"),
                      item.name));
    }
  }
  if (items_.size() > outputs_max) {
    context_.fail(items_[outputs_max].offset, fmt::format("a view has at most {} columns", outputs_max));
  }
}

std::vector<TypedExpression> SelectPlanner::type_items(const ColumnTypes& columns) {
  std::vector<TypedExpression> values;
  for (const Item& item : items_) {
    if (auto value = type_expression(context_, columns, item.expression)) values.push_back(*std::move(value));
  }
  return values;
}

std::set<std::string> SelectPlanner::columns_of_items() const {
  std::set<std::string> used;
  for (const Item& item : items_) {
    for_each_column(item.expression, [&](const Expression& column) { used.insert(column.name_parts[0]); });
  }
  return used;
}

std::optional<PlannedRows> SelectPlanner::plan_rows() {
  std::vector<TypedExpression> values = type_items(scope_.types());
  std::optional<FirstRow> first;
  if (window_) first = type_first_row(context_, scope_.types(), *window_);
  if (!clean()) return std::nullopt;
  std::set<std::string> used = columns_of_items();
  if (window_) {
    for_each_column(*window_, [&](const Expression& column) { used.insert(column.name_parts[0]); });
  }
  return plan_items(from_.build(used), values, first);
}

std::optional<PlannedRows> SelectPlanner::plan_aggregate() {
  AggregatePlanner aggregate(context_, scope_, groups_.empty());
  for (const Expression& group : groups_) aggregate.add_group(group);
  for (Item& item : items_) item.expression = aggregate.above(item.expression);
  if (having_) having_ = aggregate.above(*having_);
  if (window_) window_ = aggregate.above(*window_);
  if (!clean()) return std::nullopt;
  Pipe rows = aggregate.build(from_);
  ColumnTypes types = rows.types();
  std::vector<TypedExpression> values = type_items(types);
  std::map<std::string, std::string> natives = aggregate.natives();
  for (TypedExpression& value : values) {
    if (value.column) value.native = natives[*value.column];
  }
  std::optional<TypedExpression> having;
  if (having_) having = type_condition(context_, types, *having_, "HAVING");
  std::optional<FirstRow> first;
  if (window_) first = type_first_row(context_, types, *window_);
  if (!clean()) return std::nullopt;
  if (having) rows.filters.push_back(*std::move(having));
  return plan_items(std::move(rows), values, first);
}

// The SELECT list over the rows, of which `first` keeps the first ones.
std::optional<PlannedRows> SelectPlanner::plan_items(Pipe rows, const std::vector<TypedExpression>& values,
                                                     const std::optional<FirstRow>& first) {
  PlannedRows planned;
  std::vector<std::string> names;
  for (size_t i = 0; i < values.size(); ++i) {
    names.push_back(items_[i].name);
    planned.types.push_back({values[i].type, values[i].native, values[i].as_text});
    planned.not_keys.push_back(refuse_key(values[i]));
  }
  if (first) {
    planned.node = plan_first_row(context_, rows, *first, names, values);
    std::vector<std::string> key;
    for (const TypedExpression& value : first->partition) key.push_back(value.column.value_or(""));
    if (!key.empty()) rows.keys.insert(rows.keys.begin(), {std::move(key), true});
  } else {
    MapBuilder map(context_, rows);
    for (size_t i = 0; i < values.size(); ++i) map.add(names[i], values[i]);
    planned.node = map.only_renames() ? map.rename() : map.finish().node;
  }
  for (const Pipe::Key& key : rows.keys) {
    std::vector<std::string> of_key;
    for (const std::string& column : key.columns) {
      for (size_t i = 0; i < values.size() && !column.empty(); ++i) {
        if (values[i].column != column) continue;
        of_key.push_back(names[i]);
        break;
      }
    }
    if (of_key.size() != key.columns.size()) continue;
    planned.key = std::move(of_key);
    planned.key_always = key.always;
    break;
  }
  return planned;
}

std::optional<PlannedRows> distinct_rows(PlanningContext& context, PlannedRows rows, size_t offset) {
  PlanNode node{.kind = NodeKind::kAggregate, .inputs = {rows.node}, .columns = context.nodes[rows.node].columns};
  node.aggregate.group_columns = static_cast<uint32_t>(node.columns.size());
  rows.key.clear();
  rows.key_always = true;
  bool refused = false;
  for (size_t i = 0; i < node.columns.size(); ++i) {
    rows.key.push_back(node.columns[i].name);
    if (rows.not_keys[i].empty()) continue;
    context.fail(offset, fmt::format("column \"{}\": {}", node.columns[i].name, rows.not_keys[i]));
    refused = true;
  }
  if (refused) return std::nullopt;
  rows.node = context.add_node(std::move(node));
  return rows;
}

}  // namespace tributary
