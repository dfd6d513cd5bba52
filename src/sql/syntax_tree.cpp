#include "sql/syntax_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "contracts/text_place.h"
#include "sql/syntax_expression.h"

namespace tributary {
namespace {

using nlohmann::json;

// Where `keyword` stands in `sql` at or behind `begin` as a word, outside of strings, quoted names and comments;
// `otherwise` where it does not.
size_t keyword_offset(std::string_view sql, std::string_view keyword, size_t begin, size_t otherwise) {
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
      if (i >= begin && std::equal(word.begin(), word.end(), keyword.begin(), keyword.end(),
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

JoinForm join_form(const json& join) {
  std::string reference = json_text(join, "ref_type");
  std::string type = json_text(join, "join_type");
  if (reference == "CROSS") return JoinForm::kCross;
  if (reference == "NATURAL") return JoinForm::kNatural;
  if (reference == "ASOF") return JoinForm::kAsof;
  if (reference == "POSITIONAL") return JoinForm::kPositional;
  if (reference != "REGULAR") return JoinForm::kOther;
  if (type == "INNER") return JoinForm::kInner;
  if (type == "LEFT") return JoinForm::kLeft;
  if (type == "RIGHT") return JoinForm::kRight;
  if (type == "OUTER" || type == "FULL") return JoinForm::kFull;
  if (type == "SEMI") return JoinForm::kSemi;
  if (type == "ANTI") return JoinForm::kAnti;
  return JoinForm::kOther;
}

class TreeBuilder {
 public:
  explicit TreeBuilder(std::string_view sql) : sql_(sql) {}

  std::vector<PlanError> errors;

  Query query(const json& node) {
    Query result;
    begin_ = expressions_.last_offset;
    if (json_text(node, "type") == "SELECT_NODE") {
      if (++selects_ > selects_max && errors.empty())
        fail(begin_, fmt::format("a view has at most {} SELECTs", selects_max));
      result.select = select(node);
    } else if (json_text(node, "type") == "SET_OPERATION_NODE") {
      set_operation(node, result);
    } else {
      result.clauses.push_back({ClauseKind::kWith, keyword_offset(sql_, "WITH", 0, 0)});
    }
    if (expressions_.too_deep && errors.empty()) {
      fail(*expressions_.too_deep,
           fmt::format("expressions are nested more than {} deep; split the view", expression_depth_max));
    }
    return result;
  }

 private:
  void fail(size_t offset, std::string message) { errors.push_back({place_at(sql_, offset), std::move(message)}); }
  size_t keyword(const char* word) const { return keyword_offset(sql_, word, begin_, begin_); }
  // Of a clause that stands behind all that has been read.
  size_t last_keyword(const char* word) const {
    return keyword_offset(sql_, word, expressions_.last_offset, expressions_.last_offset);
  }

  // DuckDB makes a balanced tree of `a UNION b UNION c`, which is one union.
  void set_operation(const json& node, Query& result) {
    std::string kind = json_text(node, "setop_type");
    result.distinct = !node.value("setop_all", false);
    add_input(query(node.at("left")), result);
    begin_ = expressions_.last_offset;
    size_t offset = keyword(kind.starts_with("UNION") ? "UNION" : kind.c_str());
    result.offsets.push_back(offset);
    add_input(query(node.at("right")), result);
    if (kind == "EXCEPT") result.clauses.push_back({ClauseKind::kExcept, offset});
    if (kind == "INTERSECT") result.clauses.push_back({ClauseKind::kIntersect, offset});
    if (kind == "UNION_BY_NAME") result.clauses.push_back({ClauseKind::kUnionByName, offset});
    begin_ = expressions_.last_offset;
    read_modifiers(node, result.clauses, nullptr);
  }
  static void add_input(Query input, Query& result) {
    if (input.inputs.empty() || input.distinct != result.distinct || !input.clauses.empty()) {
      result.inputs.push_back(std::move(input));
      return;
    }
    for (Query& one : input.inputs) result.inputs.push_back(std::move(one));
    result.offsets.insert(result.offsets.end(), input.offsets.begin(), input.offsets.end());
  }

  // ORDER BY, LIMIT, DISTINCT, WITH: of a SELECT or of a union.
  void read_modifiers(const json& node, std::vector<Clause>& clauses, SelectStatement* select) {
    if (node.contains("cte_map") && json_has_items(node["cte_map"], "map")) {
      clauses.push_back({ClauseKind::kWith, keyword_offset(sql_, "WITH", 0, 0)});
    }
    for (const json& modifier : node.value("modifiers", json::array())) {
      std::string type = json_text(modifier, "type");
      if (type == "DISTINCT_MODIFIER") {
        size_t offset = keyword("DISTINCT");
        if (json_has_items(modifier, "distinct_on_targets") || select == nullptr) {
          clauses.push_back({ClauseKind::kDistinctOn, offset});
        } else {
          select->distinct = offset;
        }
      } else if (type == "ORDER_MODIFIER") {
        clauses.push_back({ClauseKind::kOrderBy, last_keyword("ORDER")});
      } else {
        clauses.push_back({ClauseKind::kLimit, last_keyword(json_is_set(modifier, "limit") ? "LIMIT" : "OFFSET")});
      }
    }
  }

  SelectStatement select(const json& node) {
    SelectStatement statement;
    statement.offset = keyword("SELECT");
    for (const json& item : node.at("select_list")) {
      statement.select_list.push_back(expressions_.build(item, statement.offset));
    }
    read_from(node.at("from_table"), statement);
    auto optional_expression = [&](const char* member, const char* word) -> std::optional<Expression> {
      if (!json_is_set(node, member)) return std::nullopt;
      return expressions_.build(node[member], keyword(word));
    };
    statement.where = optional_expression("where_clause", "WHERE");
    read_groups(node, statement);
    statement.having = optional_expression("having", "HAVING");
    statement.qualify = optional_expression("qualify", "QUALIFY");
    if (json_is_set(node, "sample")) statement.clauses.push_back({ClauseKind::kSample, keyword("SAMPLE")});
    read_modifiers(node, statement.clauses, &statement);
    return statement;
  }

  void read_groups(const json& node, SelectStatement& statement) {
    statement.group_by_all = json_text(node, "aggregate_handling") == "FORCE_AGGREGATES";
    const json& groups = node.at("group_expressions");
    const json& sets = node.at("group_sets");
    for (const json& group : groups) statement.group_by.push_back(expressions_.build(group, keyword("GROUP")));
    if (sets.size() > 1 || (sets.size() == 1 && sets[0].size() != groups.size())) {
      statement.clauses.push_back({ClauseKind::kGroupingSets, keyword("GROUP")});
    } else if (sets.size() == 1 && groups.empty()) {
      statement.clauses.push_back({ClauseKind::kEmptyGroup, keyword("GROUP")});
    }
  }

  // `a JOIN b JOIN c` is (a JOIN b) JOIN c.
  void read_from(const json& from, SelectStatement& statement) {
    std::vector<const json*> joins;
    const json* left = &from;
    for (; json_text(*left, "type") == "JOIN"; left = &left->at("left")) joins.push_back(left);
    statement.from = table(*left, statement, no_offset);
    if (joins.size() >= relations_max) {
      fail(first_offset(from), fmt::format("a view joins at most {} relations; split it", relations_max));
      return;
    }
    for (; !joins.empty(); joins.pop_back()) read_join(*joins.back(), statement);
  }

  void read_join(const json& node, SelectStatement& statement) {
    Join join;
    join.form = join_form(node);
    join.offset = json_offset(node);
    const json& right = node.at("right");
    if (json_text(right, "type") == "JOIN") {
      // `a, b JOIN c` has the comma outside; what is nested inside goes unread.
      if (join.form != JoinForm::kCross) join.form = JoinForm::kNested;
      if (join.offset == no_offset) join.offset = first_offset(right);
      join.right.offset = join.offset;
    } else {
      join.right = table(right, statement, join.offset);
      if (join.offset == no_offset) join.offset = join.right.offset;
    }
    if (json_is_set(node, "condition")) join.condition = expressions_.build(node["condition"], join.offset);
    join.using_columns = node.value("using_columns", std::vector<std::string>());
    statement.joins.push_back(std::move(join));
  }

  static size_t first_offset(const json& from) {
    const json* node = &from;
    while (json_text(*node, "type") == "JOIN") node = &node->at("left");
    return json_offset(*node);
  }

  // `join` is the place of the join whose right side it is, where it has one.
  TableReference table(const json& from, SelectStatement& statement, size_t join) {
    std::string type = json_text(from, "type");
    size_t offset = json_offset(from);
    if (offset == no_offset) offset = join;
    if (offset == no_offset) offset = type == "EMPTY" ? statement.offset : keyword("FROM");
    expressions_.last_offset = std::max(expressions_.last_offset, offset);
    if (type != "BASE_TABLE") {
      statement.clauses.push_back({type == "SUBQUERY"         ? ClauseKind::kSubqueryInFrom
                                   : type == "TABLE_FUNCTION" ? ClauseKind::kTableFunction
                                   : type == "EMPTY"          ? ClauseKind::kNoFrom
                                                              : ClauseKind::kOtherFrom,
                                   offset});
      return {.name = {}, .alias = {}, .schema = {}, .offset = offset};
    }
    if (json_is_set(from, "sample")) statement.clauses.push_back({ClauseKind::kSample, keyword("TABLESAMPLE")});
    if (json_has_items(from, "column_name_alias") || json_is_set(from, "at_clause") ||
        !json_text(from, "catalog_name").empty()) {
      statement.clauses.push_back({ClauseKind::kOtherFrom, offset});
    }
    return {json_text(from, "table_name"), json_text(from, "alias"), json_text(from, "schema_name"), offset};
  }

  std::string_view sql_;
  ExpressionBuilder expressions_;
  size_t selects_ = 0;
  size_t begin_ = 0;  // keywords of the SELECT that is being read stand behind this
};

PlanError parser_error(std::string_view sql, const json& answer) {
  std::string position = json_text(answer, "position");
  size_t offset = 0;
  std::from_chars(position.data(), position.data() + position.size(), offset);
  if (json_text(answer, "error_type") == "not implemented") {
    return {{}, "a view is one SELECT statement; write SELECT … FROM a domain"};
  }
  return {place_at(sql, offset), "Parser Error: " + json_text(answer, "error_message")};
}

void gather_relations(const Query& query, std::vector<TableReference>& out) {
  for (const Query& input : query.inputs) gather_relations(input, out);
  if (!query.select.from.name.empty()) out.push_back(query.select.from);
  for (const Join& join : query.select.joins) {
    if (!join.right.name.empty()) out.push_back(join.right);
  }
}

}  // namespace

std::vector<TableReference> relations_of(const Query& query) {
  std::vector<TableReference> relations;
  gather_relations(query, relations);
  return relations;
}

std::variant<Query, std::vector<PlanError>> parse_query(DuckDbEngine& engine, std::string_view sql) {
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
    Query query = builder.query(statements[0].at("node"));
    if (!builder.errors.empty()) return std::move(builder.errors);
    return query;
  } catch (const json::exception& error) {
    return fail({}, fmt::format("DuckDB's description of the SQL is not as expected: {}", error.what()));
  }
}

}  // namespace tributary
