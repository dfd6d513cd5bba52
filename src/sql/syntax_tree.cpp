#include "sql/syntax_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "contracts/text_place.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr size_t no_offset = SIZE_MAX;

std::string text_of(const json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool has_items(const json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && (found->is_array() || found->is_object()) && !found->empty();
}

bool is_set(const json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && !found->is_null();
}

size_t offset_of(const json& object) {
  auto found = object.find("query_location");
  if (found == object.end() || !found->is_number_unsigned()) return no_offset;
  auto offset = found->get<uint64_t>();
  return offset > sql_bytes_max ? no_offset : offset;  // DuckDB's "unknown" is 2^64 - 1
}

// Where `keyword` stands in `sql` as a word, outside of strings, quoted names and comments; `otherwise` where it does not.
size_t keyword_offset(std::string_view sql, std::string_view keyword, size_t otherwise) {
  auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (size_t i = 0; i < sql.size();) {
    if (sql[i] == '\'' || sql[i] == '"') {
      size_t end = sql.find(sql[i], i + 1);
      if (end == std::string_view::npos) break;
      i = end + 1;
    } else if (sql.substr(i, 2) == "--") {
      i = std::min(sql.find('\n', i), sql.size());
    } else if (sql.substr(i, 2) == "/*") {
      size_t end = sql.find("*/", i);
      if (end == std::string_view::npos) break;
      i = end + 2;
    } else if (is_word(sql[i])) {
      size_t end = i;
      while (end < sql.size() && is_word(sql[end])) ++end;
      std::string_view word = sql.substr(i, end - i);
      if (std::equal(word.begin(), word.end(), keyword.begin(), keyword.end(),
                     [](char a, char b) { return std::toupper(static_cast<unsigned char>(a)) == b; })) {
        return i;
      }
      i = end;
    } else {
      ++i;
    }
  }
  return otherwise;
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

class TreeBuilder {
 public:
  explicit TreeBuilder(std::string_view sql) : sql_(sql) {}

  std::vector<PlanError> errors;

  SelectStatement select(const json& node) {
    SelectStatement statement;
    read_clauses(node, statement);
    if (text_of(node, "type") != "SELECT_NODE") return statement;
    for (const json& item : node.at("select_list")) statement.select_list.push_back(expression(item, 0, 0));
    read_from(node.at("from_table"), statement);
    if (is_set(node, "where_clause")) {
      statement.where = expression(node["where_clause"], keyword_offset(sql_, "WHERE", 0), 0);
    }
    return statement;
  }

 private:
  void add(SelectStatement& statement, ClauseKind kind, const char* keyword) {
    statement.clauses.push_back({kind, keyword_offset(sql_, keyword, 0)});
  }

  void read_clauses(const json& node, SelectStatement& statement) {
    if (node.contains("cte_map") && has_items(node["cte_map"], "map")) add(statement, ClauseKind::kWith, "WITH");
    if (text_of(node, "type") != "SELECT_NODE") {
      std::string keyword = text_of(node, "setop_type");
      add(statement, ClauseKind::kSetOperation, keyword.empty() ? "WITH" : keyword.c_str());
      return;
    }
    for (const json& modifier : node.value("modifiers", json::array())) {
      std::string type = text_of(modifier, "type");
      if (type == "DISTINCT_MODIFIER") {
        add(statement, ClauseKind::kDistinct, "DISTINCT");
      } else if (type == "ORDER_MODIFIER") {
        add(statement, ClauseKind::kOrderBy, "ORDER");
      } else {
        add(statement, ClauseKind::kLimit, is_set(modifier, "limit") ? "LIMIT" : "OFFSET");
      }
    }
    if (has_items(node, "group_expressions") || has_items(node, "group_sets") ||
        text_of(node, "aggregate_handling") == "FORCE_AGGREGATES") {
      add(statement, ClauseKind::kGroupBy, "GROUP");
    }
    if (is_set(node, "having")) add(statement, ClauseKind::kHaving, "HAVING");
    if (is_set(node, "qualify")) add(statement, ClauseKind::kQualify, "QUALIFY");
    if (is_set(node, "sample")) add(statement, ClauseKind::kSample, "SAMPLE");
  }

  void read_from(const json& from, SelectStatement& statement) {
    std::string type = text_of(from, "type");
    size_t offset = offset_of(from);
    if (offset == no_offset) offset = keyword_offset(sql_, "FROM", 0);
    if (type == "BASE_TABLE") {
      statement.from = {text_of(from, "table_name"), text_of(from, "alias"), text_of(from, "schema_name"), offset};
      if (is_set(from, "sample")) add(statement, ClauseKind::kSample, "TABLESAMPLE");
      if (has_items(from, "column_name_alias") || is_set(from, "at_clause") || !text_of(from, "catalog_name").empty()) {
        statement.clauses.push_back({ClauseKind::kOtherFrom, offset});
      }
      return;
    }
    ClauseKind kind = type == "JOIN"             ? ClauseKind::kJoin
                      : type == "SUBQUERY"       ? ClauseKind::kSubqueryInFrom
                      : type == "TABLE_FUNCTION" ? ClauseKind::kTableFunction
                      : type == "EMPTY"          ? ClauseKind::kNoFrom
                                                 : ClauseKind::kOtherFrom;
    if (kind == ClauseKind::kJoin) {
      offset = keyword_offset(sql_, "JOIN", offset);
    } else if (kind == ClauseKind::kNoFrom) {
      offset = 0;
    }
    statement.clauses.push_back({kind, offset});
  }

  Expression expression(const json& node, size_t parent_offset, size_t depth) {
    Expression result;
    size_t offset = offset_of(node);
    result.offset = offset == no_offset ? parent_offset : offset;
    if (depth > expression_depth_max) {
      if (errors.empty()) {
        errors.push_back(
            {place_at(sql_, result.offset),
             fmt::format("expressions are nested more than {} deep; split the view", expression_depth_max)});
      }
      return result;
    }
    std::string name = text_of(node, "class");
    result.kind = kind_of(name);
    result.alias = text_of(node, "alias");
    result.syntax = std::make_shared<const json>(depth == 0 ? node : json());
    read_details(node, name, result);
    collect_children(node, result, depth);
    if (offset == no_offset && !result.children.empty()) result.offset = result.children.front().offset;
    if (depth == 0) attach_syntax(result, *result.syntax, result.syntax);
    return result;
  }

  void read_details(const json& node, const std::string& class_name, Expression& result) {
    switch (result.kind) {
      case ExpressionKind::kColumn: result.name_parts = node.at("column_names").get<std::vector<std::string>>(); break;
      case ExpressionKind::kFunction:
        result.name = text_of(node, "function_name");
        std::transform(result.name.begin(), result.name.end(), result.name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        result.schema = text_of(node, "schema");
        result.has_aggregate_modifiers = node.value("distinct", false) || is_set(node, "filter") ||
                                         (node.contains("order_bys") && has_items(node["order_bys"], "orders"));
        break;
      case ExpressionKind::kCast: result.try_cast = node.value("try_cast", false); break;
      case ExpressionKind::kStar:
        result.star_relation = text_of(node, "relation_name");
        for (const json& excluded : node.value("exclude_list", json::array())) {
          if (excluded.is_string()) result.star_exclude.push_back(excluded.get<std::string>());
        }
        result.star_modified = has_items(node, "replace_list") || has_items(node, "rename_list") ||
                               has_items(node, "qualified_exclude_list") || node.value("columns", false) ||
                               is_set(node, "expr");
        break;
      case ExpressionKind::kOther: result.name = class_name; break;
      default: result.name = text_of(node, "type"); break;
    }
  }

  // Expressions lie in members of any name; what else there is (types, values, subqueries) is not walked.
  void collect_children(const json& node, Expression& parent, size_t depth) {
    if (parent.kind == ExpressionKind::kSubquery) return;
    for (const auto& [name, member] : node.items()) {
      if (name == "value" || name == "cast_type") continue;
      collect(member, parent, depth);
    }
  }
  void collect(const json& member, Expression& parent, size_t depth) {
    if (member.is_object()) {
      if (member.contains("class")) {
        parent.children.push_back(expression(member, parent.offset, depth + 1));
      } else {
        for (const auto& item : member) collect(item, parent, depth);
      }
    } else if (member.is_array()) {
      for (const json& item : member) collect(item, parent, depth);
    }
  }

  // Children point into the description that the outermost expression owns, in the order in which they were collected.
  static void attach_syntax(Expression& parent, const json& node, const std::shared_ptr<const json>& owner) {
    size_t next = 0;
    auto attach = [&](auto& self, const json& member) -> void {
      if (member.is_object() && member.contains("class")) {
        if (next >= parent.children.size()) return;
        Expression& child = parent.children[next++];
        child.syntax = std::shared_ptr<const json>(owner, &member);
        attach_syntax(child, member, owner);
      } else if (member.is_object() || member.is_array()) {
        for (const json& item : member) self(self, item);
      }
    };
    if (parent.kind == ExpressionKind::kSubquery) return;
    for (const auto& [name, member] : node.items()) {
      if (name != "value" && name != "cast_type") attach(attach, member);
    }
  }

  std::string_view sql_;
};

PlanError parser_error(std::string_view sql, const json& answer) {
  std::string position = text_of(answer, "position");
  size_t offset = 0;
  std::from_chars(position.data(), position.data() + position.size(), offset);
  if (text_of(answer, "error_type") == "not implemented") {
    return {{}, "a view is one SELECT statement; write SELECT … FROM a domain"};
  }
  return {place_at(sql, offset), "Parser Error: " + text_of(answer, "error_message")};
}

void rename_columns(json& node, const std::function<std::string(const std::vector<std::string>&)>& rename) {
  if (node.is_object() && text_of(node, "class") == "COLUMN_REF") {
    node["column_names"] = json::array({rename(node.at("column_names").get<std::vector<std::string>>())});
  } else if (node.is_object() || node.is_array()) {
    for (json& item : node) rename_columns(item, rename);
  }
}

}  // namespace

std::variant<SelectStatement, std::vector<PlanError>> parse_select(DuckDbEngine& engine, std::string_view sql) {
  auto fail = [](TextPlace place, std::string message) { return std::vector<PlanError>{{place, std::move(message)}}; };
  if (sql.size() > sql_bytes_max) {
    return fail({}, fmt::format("the SQL has {} bytes; a view may have {}", sql.size(), sql_bytes_max));
  }
  if (!is_utf8(sql) || sql.find('\0') != std::string_view::npos) return fail({}, "the SQL is not UTF-8 text");
  Result<std::string> text = engine.syntax_json(sql);
  if (!text.ok()) return fail({}, text.error().message);
  json answer = json::parse(*text, nullptr, false);
  if (!answer.is_object()) return fail({}, "DuckDB's description of the SQL is no JSON object");
  try {  // a member that is not what DuckDB 1.5 writes
    if (answer.value("error", false)) return std::vector<PlanError>{parser_error(sql, answer)};
    const json& statements = answer.at("statements");
    if (statements.size() != 1) {
      return fail({}, statements.empty() ? "there is no SQL here; write SELECT … FROM a domain"
                                         : "a view is one SELECT statement; this has several");
    }
    TreeBuilder builder(sql);
    SelectStatement statement = builder.select(statements[0].at("node"));
    if (!builder.errors.empty()) return std::move(builder.errors);
    return statement;
  } catch (const json::exception& error) {
    return fail({}, fmt::format("DuckDB's description of the SQL is not as expected: {}", error.what()));
  }
}

Result<std::string> expression_sql(DuckDbEngine& engine, const Expression& expression,
                                   const std::function<std::string(const std::vector<std::string>&)>& rename) {
  CHECK(expression.syntax != nullptr && !expression.syntax->is_null());
  json copy = *expression.syntax;
  copy["alias"] = "";
  rename_columns(copy, rename);
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
  node["select_list"] = json::array({std::move(copy)});
  json statement = {{"node", std::move(node)}, {"named_param_map", json::array()}};
  json document = {{"error", false}, {"statements", json::array({std::move(statement)})}};
  ASSIGN_OR_RETURN(std::string sql, engine.sql_of_syntax_json(document.dump()));
  constexpr std::string_view prefix = "SELECT ";
  if (!sql.starts_with(prefix)) return Error{ErrorCode::kInternal, "DuckDB wrote an expression as: " + sql};
  return sql.substr(prefix.size());
}

}  // namespace tributary
