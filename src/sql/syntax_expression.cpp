#include "sql/syntax_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace tributary {
namespace {

using nlohmann::json;

constexpr uint64_t unknown_location = UINT64_MAX;  // DuckDB's
constexpr const char* hole = "tributary_child";    // in a shape: {"tributary_child": 3}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

ExpressionKind kind_of(const std::string& name) {
  static constexpr std::pair<std::string_view, ExpressionKind> kinds[] = {
      {"COLUMN_REF", ExpressionKind::kColumn}, {"CONSTANT", ExpressionKind::kConstant},
      {"FUNCTION", ExpressionKind::kFunction}, {"CAST", ExpressionKind::kCast},
      {"CASE", ExpressionKind::kCase},         {"COMPARISON", ExpressionKind::kComparison},
      {"BETWEEN", ExpressionKind::kBetween},   {"CONJUNCTION", ExpressionKind::kConjunction},
      {"OPERATOR", ExpressionKind::kOperator}, {"COLLATE", ExpressionKind::kCollate},
      {"STAR", ExpressionKind::kStar},         {"SUBQUERY", ExpressionKind::kSubquery},
      {"WINDOW", ExpressionKind::kWindow},     {"LAMBDA", ExpressionKind::kLambda},
      {"LAMBDA_REF", ExpressionKind::kLambda}, {"PARAMETER", ExpressionKind::kParameter},
  };
  for (const auto& [text, kind] : kinds) {
    if (text == name) return kind;
  }
  return ExpressionKind::kOther;
}

// Members that hold no expressions of the statement: types, constants.
bool is_opaque(const std::string& member) { return member == "value" || member == "cast_type"; }

void read_star(const json& node, Expression& star) {
  star.star_relation = json_text(node, "relation_name");
  for (const json& excluded : node.value("exclude_list", json::array())) {
    if (excluded.is_string()) star.star_exclude.push_back(excluded.get<std::string>());
  }
  star.star_modified = json_has_items(node, "replace_list") || json_has_items(node, "rename_list") ||
                       json_has_items(node, "qualified_exclude_list") || node.value("columns", false) ||
                       json_is_set(node, "expr");
}

void read_call(const json& node, Expression& call) {
  call.name = lower(json_text(node, "function_name"));
  call.call.arguments = node.at("children").size();
  call.call.has_filter = json_is_set(node, "filter");
  call.call.distinct = node.value("distinct", false);
  call.call.ordered = node.contains("order_bys") && json_has_items(node["order_bys"], "orders");
  call.call.schema = json_text(node, "schema");
}

// The children of a window are those of its members in alphabetical order, as take_children() takes them; a plain
// row_number() has none but its orders and partitions.
void read_window(const json& node, Expression& window) {
  window.name = lower(json_text(node, "function_name"));
  WindowDetails& details = window.window;
  auto plain = [&](const char* member) { return !json_is_set(node, member) && !json_has_items(node, member); };
  details.row_number = json_text(node, "type") == "WINDOW_ROW_NUMBER" && plain("start_expr") && plain("end_expr") &&
                       plain("offset_expr") && plain("default_expr") && plain("filter_expr") &&
                       !json_has_items(node, "children") && !json_has_items(node, "arg_orders") &&
                       json_text(node, "start") == "UNBOUNDED_PRECEDING" &&
                       json_text(node, "end") == "CURRENT_ROW_RANGE" &&
                       json_text(node, "exclude_clause") == "NO_OTHER" && !node.value("ignore_nulls", false);
  if (!details.row_number) return;
  size_t next = 0;
  for (const json& order : node.at("orders")) {
    std::string nulls = json_text(order, "null_order");
    details.order.push_back({next++, json_text(order, "type") == "DESCENDING", nulls == "NULLS FIRST"});
  }
  for (size_t i = 0; i < node.at("partitions").size(); ++i) details.partition.push_back(next++);
}

void read_details(const json& node, const std::string& class_name, Expression& result) {
  switch (result.kind) {
    case ExpressionKind::kColumn: result.name_parts = node.at("column_names").get<std::vector<std::string>>(); break;
    case ExpressionKind::kConstant: {
      const json& value = node.at("value");  // 1.5 is the integer 15, with a type that says where the point is
      std::string type = value.contains("type") ? json_text(value["type"], "id") : "";
      bool integer = type == "INTEGER" || type == "BIGINT";
      if (integer && value.contains("value") && value["value"].is_number_integer()) {
        result.integer = value["value"].get<int64_t>();
      }
      if (type == "VARCHAR" && value.contains("value") && value["value"].is_string()) {
        result.text = value["value"].get<std::string>();
      }
      break;
    }
    case ExpressionKind::kFunction: read_call(node, result); break;
    case ExpressionKind::kWindow: read_window(node, result); break;
    case ExpressionKind::kStar: read_star(node, result); break;
    case ExpressionKind::kOther: result.name = class_name; break;
    default: result.name = json_text(node, "type"); break;
  }
}

// Puts the children back into the holes.
void fill(json& member, const Expression& parent);
json description_of(const Expression& expression) {
  json node = *expression.shape;
  node["alias"] = expression.alias;
  if (expression.kind == ExpressionKind::kColumn) node["column_names"] = expression.name_parts;
  for (const auto& [name, member] : node.items()) {
    if (!is_opaque(name)) fill(member, expression);
  }
  return node;
}
void fill(json& member, const Expression& parent) {
  if (member.is_object() && member.contains(hole)) {
    member = description_of(parent.children.at(member[hole].get<size_t>()));
  } else if (member.is_object() || member.is_array()) {
    for (json& item : member) fill(item, parent);
  }
}

void rename_columns(json& node, const Rename& rename) {
  if (node.is_object() && json_text(node, "class") == "COLUMN_REF") {
    node["column_names"] = json::array({rename(node.at("column_names").get<std::vector<std::string>>())});
  } else if (node.is_object() || node.is_array()) {
    for (json& item : node) rename_columns(item, rename);
  }
}

void drop_places(json& node) {
  if (node.is_object()) node.erase("query_location");
  if (node.is_object() || node.is_array()) {
    for (json& item : node) drop_places(item);
  }
}

}  // namespace

std::string json_text(const json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool json_has_items(const json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && (found->is_array() || found->is_object()) && !found->empty();
}

bool json_is_set(const json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && !found->is_null();
}

size_t json_offset(const json& object) {
  auto found = object.find("query_location");
  if (found == object.end() || !found->is_number_unsigned()) return no_offset;
  auto offset = found->get<uint64_t>();
  return offset > sql_bytes_max ? no_offset : offset;
}

Expression ExpressionBuilder::expression(const json& node, size_t parent_offset, size_t depth) {
  Expression result;
  size_t offset = json_offset(node);
  result.offset = offset == no_offset ? parent_offset : offset;
  if (offset != no_offset) last_offset = std::max(last_offset, offset);
  if (depth > expression_depth_max) {
    if (!too_deep) too_deep = result.offset;
    return result;
  }
  std::string name = json_text(node, "class");
  result.kind = kind_of(name);
  result.alias = json_text(node, "alias");
  read_details(node, name, result);
  json shape = node;
  if (result.kind != ExpressionKind::kSubquery) take_children(shape, result, depth);
  result.shape = std::make_shared<const json>(std::move(shape));
  if (offset == no_offset && !result.children.empty()) result.offset = result.children.front().offset;
  return result;
}

// Expressions lie in members of any name, in the alphabetical order that json objects have.
void ExpressionBuilder::take_children(json& node, Expression& parent, size_t depth) {
  for (const auto& [name, member] : node.items()) {
    if (!is_opaque(name)) take(member, parent, depth);
  }
}

void ExpressionBuilder::take(json& member, Expression& parent, size_t depth) {
  if (member.is_object() && member.contains("class")) {
    parent.children.push_back(expression(member, parent.offset, depth + 1));
    member = json{{hole, parent.children.size() - 1}};
  } else if (member.is_object() || member.is_array()) {
    for (json& item : member) take(item, parent, depth);
  }
}

Expression rewrite(const Expression& expression, const Replace& replace) {
  if (std::optional<Expression> other = replace(expression)) {
    other->alias = expression.alias;
    return *std::move(other);
  }
  Expression copy = expression;
  for (Expression& child : copy.children) child = rewrite(child, replace);
  return copy;
}

Expression column_expression(std::string name, size_t offset) {
  Expression column;
  column.kind = ExpressionKind::kColumn;
  column.offset = offset;
  column.name_parts = {std::move(name)};
  column.shape = std::make_shared<const json>(json{{"class", "COLUMN_REF"},
                                                   {"type", "COLUMN_REF"},
                                                   {"alias", ""},
                                                   {"query_location", unknown_location},
                                                   {"column_names", json::array()}});
  return column;
}

Expression cast_expression(Expression expression, const std::string& type, uint8_t precision, uint8_t scale) {
  json info;
  if (type == "DECIMAL") {
    info = {{"type", "DECIMAL_TYPE_INFO"},
            {"alias", ""},
            {"extension_info", nullptr},
            {"width", precision},
            {"scale", scale}};
  }
  Expression cast;
  cast.kind = ExpressionKind::kCast;
  cast.offset = expression.offset;
  cast.name = "OPERATOR_CAST";
  cast.children.push_back(std::move(expression));
  cast.shape = std::make_shared<const json>(json{{"class", "CAST"},
                                                 {"type", "OPERATOR_CAST"},
                                                 {"alias", ""},
                                                 {"query_location", unknown_location},
                                                 {"child", {{hole, 0}}},
                                                 {"cast_type", {{"id", type}, {"type_info", std::move(info)}}},
                                                 {"try_cast", false}});
  return cast;
}

Expression one_expression(size_t offset) {
  Expression one;
  one.kind = ExpressionKind::kConstant;
  one.offset = offset;
  one.integer = 1;
  one.shape = std::make_shared<const json>(
      json{{"class", "CONSTANT"},
           {"type", "VALUE_CONSTANT"},
           {"alias", ""},
           {"query_location", unknown_location},
           {"value", {{"type", {{"id", "INTEGER"}, {"type_info", nullptr}}}, {"is_null", false}, {"value", 1}}}});
  return cast_expression(std::move(one), "BIGINT");
}

std::string expression_identity(const Expression& expression) {
  json node = description_of(expression);
  node["alias"] = "";
  drop_places(node);
  return node.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<std::string> expression_sql(DuckDbEngine& engine, const Expression& expression, const Rename& rename) {
  CHECK(expression.shape != nullptr);
  json item = description_of(expression);
  item["alias"] = "";
  if (rename) rename_columns(item, rename);
  json nothing = {{"type", "EMPTY"}, {"alias", ""}, {"sample", nullptr}, {"query_location", 0}};
  json node = {{"type", "SELECT_NODE"},
               {"modifiers", json::array()},
               {"cte_map", {{"map", json::array()}}},
               {"from_table", nothing},
               {"where_clause", nullptr},
               {"group_expressions", json::array()},
               {"having", nullptr},
               {"group_sets", json::array()},
               {"sample", nullptr},
               {"qualify", nullptr},
               {"aggregate_handling", "STANDARD_HANDLING"}};
  node["select_list"] = json::array({std::move(item)});
  json statement = {{"node", std::move(node)}, {"named_param_map", json::array()}};
  json document = {{"error", false}, {"statements", json::array({std::move(statement)})}};
  ASSIGN_OR_RETURN(std::string sql, engine.sql_of_syntax_json(document.dump()));
  constexpr std::string_view prefix = "SELECT ";
  if (!sql.starts_with(prefix)) return Error{ErrorCode::kInternal, "DuckDB wrote an expression as: " + sql};
  return sql.substr(prefix.size());
}

}  // namespace tributary
