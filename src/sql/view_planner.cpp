#include "sql/view_planner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/nearest_name.h"
#include "contracts/text_place.h"
#include "sql/functions.h"
#include "sql/syntax_tree.h"
#include "sql/view_names.h"

namespace tributary {
namespace {

constexpr std::string_view attribute_prefix = "client.";
constexpr size_t outputs_max = 2000;

// Among `names`, the one that `wanted` may have been meant to be.
std::string did_you_mean(const std::string& wanted, const std::vector<std::string>& names) {
  if (auto nearest = nearest_name(wanted, names)) return fmt::format("did you mean \"{}\"?", *nearest);
  if (names.size() <= 12) return fmt::format("there are: {}", fmt::join(names, ", "));
  return "see the lock file for its columns";
}

std::string refusal(ClauseKind kind) {
  constexpr std::string_view later = "joins, GROUP BY and DISTINCT come with a later version; ";
  constexpr std::string_view form = "for now a view is SELECT expressions FROM domain [WHERE condition]";
  switch (kind) {
    case ClauseKind::kJoin: return fmt::format("a join: {}{}", later, form);
    case ClauseKind::kGroupBy:
    case ClauseKind::kHaving: return fmt::format("GROUP BY: {}{}", later, form);
    case ClauseKind::kDistinct: return fmt::format("DISTINCT: {}{}", later, form);
    case ClauseKind::kWith: return fmt::format("WITH is not supported; {}", form);
    case ClauseKind::kQualify: return fmt::format("QUALIFY is not supported; {}", form);
    case ClauseKind::kOrderBy:
      return "ORDER BY has no meaning in a view, which is a set of rows; leave it out, and sort in the query";
    case ClauseKind::kLimit:
      return "LIMIT would make the view's rows depend on each other; leave it out, and limit in the query";
    case ClauseKind::kSample: return "a sample gives other rows each time; use WHERE";
    case ClauseKind::kSetOperation: return fmt::format("UNION, EXCEPT and INTERSECT are not supported; {}", form);
    case ClauseKind::kSubqueryInFrom: return fmt::format("a subquery in FROM is not supported; {}", form);
    case ClauseKind::kTableFunction: return fmt::format("a view reads a domain, not a table function; {}", form);
    case ClauseKind::kNoFrom: return fmt::format("the view reads nothing; {}", form);
    case ClauseKind::kOtherFrom: return fmt::format("this form of FROM is not supported; {}", form);
  }
  return std::string(form);
}

class Planner {
 public:
  Planner(DuckDbEngine& engine, const ViewRequest& request) : engine_(engine), request_(request) {}

  std::variant<ViewPlan, std::vector<PlanError>> plan();

 private:
  void fail(size_t offset, std::string message) {
    errors_.push_back({place_at(request_.sql, offset), std::move(message)});
  }
  void check_clauses(const SelectStatement& statement);
  void find_relation(const TableReference& from);
  void check(const Expression& expression);
  void check_column(const Expression& expression);
  std::optional<uint32_t> find_source_column(const Expression& expression, bool report);
  bool names_relation(const std::string& name) const;
  bool is_attribute(const Expression& expression) const {
    return expression.name_parts.size() == 2 && same_name(expression.name_parts[0], "client");
  }
  const InputColumn* find_attribute(const std::string& name) const;
  uint32_t input(const InputColumn& column);
  std::string column_name(const std::vector<std::string>& parts);
  void add_star(const Expression& star);
  void add_item(const Expression& item);
  void add_output(size_t offset, ViewOutput output, bool renamed = false);
  void pass_through(size_t offset, uint32_t source, std::string name);
  std::optional<std::string> sql_of(const Expression& expression);
  std::optional<LogicalType> type_of(const Expression& expression, const std::string& sql);
  void report_type_error(const Expression& expression, const std::string& message);
  bool may_fail(const Expression& expression) const;
  void add_filter(const Expression& where);
  void fill_order_by();

  DuckDbEngine& engine_;
  const ViewRequest& request_;
  bool columns_known_ = true;
  const Relation* relation_ = nullptr;
  std::string relation_alias_;
  std::vector<std::string> sql_names_;
  std::string filter_sql_;
  ViewPlan plan_;
  std::vector<PlanError> errors_;
};

std::variant<ViewPlan, std::vector<PlanError>> Planner::plan() {
  auto parsed = parse_select(engine_, request_.sql);
  if (auto* errors = std::get_if<std::vector<PlanError>>(&parsed)) return std::move(*errors);
  const auto& statement = std::get<SelectStatement>(parsed);
  plan_.name = request_.name;
  check_clauses(statement);
  if (errors_.empty()) find_relation(statement.from);
  for (const Expression& item : statement.select_list) check(item);
  if (statement.where) check(*statement.where);
  if (errors_.empty() && columns_known_) {
    if (statement.where) add_filter(*statement.where);
    for (const Expression& item : statement.select_list) {
      if (item.kind == ExpressionKind::kStar) {
        add_star(item);
      } else {
        add_item(item);
      }
    }
    fill_order_by();
  }
  if (!errors_.empty()) return std::move(errors_);
  return std::move(plan_);
}

void Planner::check_clauses(const SelectStatement& statement) {
  for (const Clause& clause : statement.clauses) fail(clause.offset, refusal(clause.kind));
}

void Planner::find_relation(const TableReference& from) {
  std::vector<std::string> names;
  for (const Relation& relation : request_.relations) {
    names.push_back(relation.name);
    if (from.schema.empty() && same_name(relation.name, from.name)) relation_ = &relation;
  }
  if (!from.schema.empty()) {
    fail(from.offset, fmt::format("\"{}.{}\": a view names a domain, not a table; {}", from.schema, from.name,
                                  did_you_mean(from.name, names)));
  } else if (relation_ == nullptr) {
    bool view = std::any_of(request_.other_views.begin(), request_.other_views.end(),
                            [&](const std::string& name) { return same_name(name, from.name); });
    fail(from.offset,
         view ? fmt::format("\"{}\" is a view; reading other views comes with a later version, for now a view "
                            "reads a domain",
                            from.name)
              : fmt::format("there is no domain \"{}\"; {}", from.name, did_you_mean(from.name, names)));
  }
  relation_alias_ = from.alias.empty() ? from.name : from.alias;
  if (same_name(relation_alias_, "client")) {
    fail(from.offset, "\"client\" names the client's attributes; give the domain another alias");
  }
  if (relation_ != nullptr) {
    for (const OutputColumn& column : relation_->columns) {
      if (!column.name.starts_with(attribute_prefix)) continue;
      fail(from.offset,
           fmt::format("the source's column \"{}\" looks like a client's attribute; rename it in the source",
                       column.name));
    }
    plan_.relation = relation_->name;
    columns_known_ = !relation_->columns.empty();
    sql_names_ = sql_column_names(*relation_);
  }
}

// Everything that can be said of an expression before types are known.
void Planner::check(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::kColumn: return check_column(expression);
    case ExpressionKind::kStar:
      if (expression.star_modified) {
        fail(expression.offset, "REPLACE, RENAME and COLUMNS() are not supported; list the columns, or use EXCLUDE");
      } else if (!expression.star_relation.empty() && relation_ != nullptr &&
                 !names_relation(expression.star_relation)) {
        fail(expression.offset,
             fmt::format("\"{}\" is not in FROM; write {}.*", expression.star_relation, relation_alias_));
      }
      return;
    case ExpressionKind::kFunction: {
      std::string refused = refuse_function(expression.name, expression.children.size());
      if (refused.empty() && !expression.schema.empty() && expression.schema != "main") {
        refused = fmt::format("functions have no schema here; write {}()", expression.name);
      }
      if (refused.empty() && expression.has_aggregate_modifiers) {
        refused = fmt::format("{}() is no aggregate and takes no DISTINCT, FILTER or ORDER BY", expression.name);
      }
      if (!refused.empty()) return fail(expression.offset, refused);
      break;
    }
    case ExpressionKind::kSubquery:
      return fail(expression.offset, "subqueries are not supported: a view's expressions see one row of one domain");
    case ExpressionKind::kWindow:
      return fail(expression.offset,
                  "window functions are not supported: a view's expressions see one row of one domain");
    case ExpressionKind::kParameter:
      return fail(expression.offset, "a view has no parameters; write the value, or use an attribute: client.NAME");
    case ExpressionKind::kOther:
      return fail(expression.offset, fmt::format("{} is not supported in a view", expression.name));
    default: break;
  }
  for (const Expression& child : expression.children) {
    if (child.kind == ExpressionKind::kStar) {
      fail(child.offset, "* stands alone in the SELECT list");
    } else {
      check(child);
    }
  }
}

void Planner::check_column(const Expression& expression) {
  if (is_attribute(expression)) {
    if (find_attribute(expression.name_parts[1]) != nullptr) return;
    std::vector<std::string> names;
    for (const InputColumn& attribute : request_.attributes) names.push_back(attribute.name);
    return fail(expression.offset, fmt::format("no client has an attribute \"{}\"; {}", expression.name_parts[1],
                                               names.empty() ? "add it under `attributes:`"
                                                             : did_you_mean(expression.name_parts[1], names)));
  }
  if (relation_ != nullptr) find_source_column(expression, true);
}

bool Planner::names_relation(const std::string& name) const {
  return same_name(name, relation_alias_) ||
         (relation_ != nullptr && same_name(relation_alias_, relation_->name) && same_name(name, relation_->name));
}

const InputColumn* Planner::find_attribute(const std::string& name) const {
  for (const InputColumn& attribute : request_.attributes) {
    if (same_name(attribute.name, name)) return &attribute;
  }
  return nullptr;
}

std::optional<uint32_t> Planner::find_source_column(const Expression& expression, bool report) {
  const std::vector<std::string>& parts = expression.name_parts;
  auto refuse = [&](std::string message) -> std::optional<uint32_t> {
    if (report) fail(expression.offset, std::move(message));
    return std::nullopt;
  };
  if (parts.size() > 2 || parts.empty()) {
    return refuse(
        fmt::format("\"{}\" has too many parts; write column or {}.column", fmt::join(parts, "."), relation_alias_));
  }
  if (parts.size() == 2 && !names_relation(parts[0])) {
    return refuse(fmt::format("\"{}\" is not in FROM; write {}.{}, or client.NAME for an attribute", parts[0],
                              relation_alias_, parts[1]));
  }
  if (!columns_known_) return std::nullopt;
  const std::string& wanted = parts.back();
  std::optional<uint32_t> found;
  size_t twins = 0;
  for (uint32_t i = 0; i < sql_names_.size(); ++i) {
    if (!same_name(sql_names_[i], wanted)) continue;
    ++twins;
    found = i;
  }
  if (twins > 1) {
    return refuse(
        fmt::format("columns of {} differ from \"{}\" in upper and lower case only, which SQL does not tell "
                    "apart; rename one in the source, or pass both through with *",
                    relation_->name, wanted));
  }
  if (found) return found;
  if (is_reserved_name(wanted)) {
    for (uint32_t i = 0; i < sql_names_.size(); ++i) {
      if (!same_name(relation_->columns[i].name, wanted)) continue;
      return refuse(
          fmt::format("the source's column \"{}\" is called \"{}\" here, since the name is the pipeline's own", wanted,
                      sql_names_[i]));
    }
    if (same_name(wanted, "client_id")) {
      return refuse("client_id is a column of every view without being written; leave it out");
    }
  }
  // SQL lets current_date and its kin be written like columns.
  std::string refused = wanted.starts_with("current_") ? refuse_function(wanted, 0) : "";
  if (!refused.empty()) return refuse(refused);
  return refuse(fmt::format("{} has no column \"{}\"; {}", relation_->name, wanted, did_you_mean(wanted, sql_names_)));
}

uint32_t Planner::input(const InputColumn& column) {
  for (uint32_t i = 0; i < plan_.inputs.size(); ++i) {
    if (plan_.inputs[i].name == column.name) return i;
  }
  plan_.inputs.push_back(column);
  return static_cast<uint32_t>(plan_.inputs.size() - 1);
}

// The name of the input that a column reference stands for; it becomes an input where it is none yet.
std::string Planner::column_name(const std::vector<std::string>& parts) {
  Expression reference;
  reference.name_parts = parts;
  if (is_attribute(reference)) {
    const InputColumn* attribute = find_attribute(parts[1]);
    CHECK(attribute != nullptr);
    InputColumn column{std::string(attribute_prefix) + attribute->name, attribute->type};
    input(column);
    return column.name;
  }
  auto source = find_source_column(reference, false);
  CHECK(source.has_value(), "column {}", fmt::join(parts, "."));
  const OutputColumn& column = relation_->columns[*source];
  input({column.name, column.type});
  return column.name;
}

void Planner::add_output(size_t offset, ViewOutput output, bool renamed) {
  const std::string& name = output.column.name;
  if (!renamed && is_reserved_name(name)) {
    return fail(offset, fmt::format("\"{}\" is a name of the pipeline's own; give the column another alias", name));
  }
  for (const ViewOutput& other : plan_.outputs) {
    if (other.column.name != name) continue;
    return fail(offset, fmt::format("two columns are called \"{}\"; give one of them another alias", name));
  }
  if (plan_.outputs.size() >= outputs_max) {
    return fail(offset, fmt::format("a view has at most {} columns", outputs_max));
  }
  plan_.outputs.push_back(std::move(output));
}

void Planner::pass_through(size_t offset, uint32_t source, std::string name) {
  const OutputColumn& column = relation_->columns[source];
  uint32_t index = input({column.name, column.type});
  bool key = std::find(relation_->key.begin(), relation_->key.end(), column.name) != relation_->key.end();
  bool renamed = name == sql_names_[source];
  add_output(offset, {{std::move(name), column.type, !key || column.nullable}, index, std::nullopt}, renamed);
}

void Planner::add_star(const Expression& star) {
  std::vector<bool> excluded(sql_names_.size(), false);
  for (const std::string& name : star.star_exclude) {
    bool known = false;
    for (size_t i = 0; i < sql_names_.size(); ++i) {
      if (same_name(sql_names_[i], name)) known = excluded[i] = true;
    }
    if (!known) {
      fail(star.offset,
           fmt::format("EXCLUDE: {} has no column \"{}\"; {}", relation_->name, name, did_you_mean(name, sql_names_)));
    }
  }
  for (uint32_t i = 0; i < sql_names_.size(); ++i) {
    if (!excluded[i]) pass_through(star.offset, i, sql_names_[i]);
  }
}

void Planner::add_item(const Expression& item) {
  if (item.kind == ExpressionKind::kColumn) {
    std::string name = item.alias;
    if (is_attribute(item)) {
      const InputColumn* attribute = find_attribute(item.name_parts[1]);
      uint32_t index = input({std::string(attribute_prefix) + attribute->name, attribute->type});
      if (name.empty()) name = attribute->name;
      return add_output(item.offset, {{name, attribute->type, true}, index, std::nullopt});
    }
    uint32_t source = *find_source_column(item, false);
    if (name.empty()) name = sql_names_[source];
    return pass_through(item.offset, source, name);
  }
  auto sql = sql_of(item);
  if (!sql) return;
  auto type = type_of(item, *sql);
  if (!type) return;
  std::string name = item.alias.empty() ? *sql : item.alias;
  if (!filter_sql_.empty() && may_fail(item)) sql = fmt::format("CASE WHEN {} THEN {} END", filter_sql_, *sql);
  auto index = static_cast<uint32_t>(plan_.expressions.size());
  plan_.expressions.push_back(*sql);
  add_output(item.offset, {{name, *type, true}, std::nullopt, index});
}

std::optional<std::string> Planner::sql_of(const Expression& expression) {
  auto sql = expression_sql(engine_, expression, [&](const auto& parts) { return column_name(parts); });
  if (sql.ok()) return std::move(sql).value();
  fail(expression.offset, sql.error().message);
  return std::nullopt;
}

std::optional<LogicalType> Planner::type_of(const Expression& expression, const std::string& sql) {
  auto program = engine_.prepare(plan_.inputs, {sql});
  if (program.ok()) return (*program)->types()[0];
  report_type_error(expression, program.error().message);
  return std::nullopt;
}

// DuckDB's message is about the whole; its place is that of the innermost part that fails alone.
void Planner::report_type_error(const Expression& expression, const std::string& message) {
  for (const Expression& child : expression.children) {
    auto sql = expression_sql(engine_, child, [&](const auto& parts) { return column_name(parts); });
    if (!sql.ok()) continue;
    auto program = engine_.prepare(plan_.inputs, {*sql});
    if (!program.ok()) return report_type_error(child, program.error().message);
  }
  fail(expression.offset, message);
}

bool Planner::may_fail(const Expression& expression) const {
  auto any_child = [&] {
    return std::any_of(expression.children.begin(), expression.children.end(),
                       [&](const Expression& child) { return may_fail(child); });
  };
  switch (expression.kind) {
    case ExpressionKind::kColumn:
    case ExpressionKind::kConstant: return false;
    case ExpressionKind::kFunction: return !never_fails_on_text(expression.name) || any_child();
    case ExpressionKind::kOperator:
      return (expression.name != "OPERATOR_IS_NULL" && expression.name != "OPERATOR_IS_NOT_NULL") || any_child();
    default: return true;
  }
}

void Planner::add_filter(const Expression& where) {
  auto sql = sql_of(where);
  if (!sql) return;
  auto type = type_of(where, *sql);
  if (!type) return;
  if (type->id != TypeId::kBool) {
    return fail(where.offset, fmt::format("WHERE needs a condition; this is {}", type->to_string()));
  }
  filter_sql_ = *sql;
  plan_.filter = static_cast<uint32_t>(plan_.expressions.size());
  plan_.expressions.push_back(*sql);
}

void Planner::fill_order_by() {
  for (const std::string& key : relation_->key) {
    auto found = std::find_if(plan_.outputs.begin(), plan_.outputs.end(), [&](const ViewOutput& output) {
      return output.input && plan_.inputs[*output.input].name == key;
    });
    if (found == plan_.outputs.end()) {
      plan_.order_by.clear();
      return;
    }
    plan_.order_by.push_back(found->column.name);
  }
}

}  // namespace

std::variant<ViewPlan, std::vector<PlanError>> plan_view(DuckDbEngine& engine, const ViewRequest& request) {
  return Planner(engine, request).plan();
}

}  // namespace tributary
