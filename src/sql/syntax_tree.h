// The syntax of one SELECT, with the place of every part: what planners walk. Made by DuckDB's parser, whose own
// description of the tree (json_serialize_sql) stays inside syntax_tree.cpp.
//
//   auto parsed = parse_select(engine, "SELECT id, lower(email) AS email FROM users WHERE id > 7");
//   std::get<SelectStatement>(parsed).select_list[1].alias   // "email"
//
// Values; no thread-safety of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "contracts/view_plan.h"
#include "sql/duckdb_engine.h"

namespace tributary {

inline constexpr size_t sql_bytes_max = 256 * 1024;    // of one view's SQL
inline constexpr size_t expression_depth_max = 200;    // of expressions inside expressions

enum class ExpressionKind : uint8_t {
  kColumn,       // name_parts: ["o", "id"]
  kConstant,
  kFunction,     // name: lower case; operators too: "+", "~~" for LIKE
  kCast,         // CAST and TRY_CAST
  kCase,
  kComparison,
  kBetween,
  kConjunction,  // AND, OR
  kOperator,     // NOT, IN, IS NULL, COALESCE, …: name is DuckDB's ("OPERATOR_COALESCE")
  kCollate,
  kStar,
  kSubquery,
  kWindow,
  kLambda,       // left -> right: JSON's arrow, unless it is an argument of a function that takes lambda expressions
  kParameter,
  kOther,        // name is DuckDB's class
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kOther;
  size_t offset = 0;  // in the SQL text, in bytes
  std::string name;
  std::string alias;  // empty: none
  std::vector<std::string> name_parts;  // kColumn
  std::vector<Expression> children;
  bool try_cast = false;                // kCast
  bool has_aggregate_modifiers = false;  // kFunction: DISTINCT, FILTER, ORDER BY inside the call
  std::string schema;                    // kFunction: where it was written, else "" or "main"
  std::string star_relation;             // kStar: "o" of o.*
  std::vector<std::string> star_exclude;  // kStar
  bool star_modified = false;             // kStar: REPLACE, RENAME, COLUMNS(…)

  std::shared_ptr<const nlohmann::json> syntax;  // DuckDB's, for expression_sql()
};

// A part of a statement that its planner may not know. In the order in which they are written.
enum class ClauseKind : uint8_t {
  kWith,
  kDistinct,
  kGroupBy,
  kHaving,
  kQualify,
  kOrderBy,
  kLimit,
  kSample,
  kSetOperation,
  kJoin,
  kSubqueryInFrom,
  kTableFunction,
  kNoFrom,
  kOtherFrom,
};
struct Clause {
  ClauseKind kind;
  size_t offset;
};

struct TableReference {
  std::string name;
  std::string alias;   // empty: none
  std::string schema;  // "public" of public.orders
  size_t offset = 0;
};

struct SelectStatement {
  std::vector<Expression> select_list;
  TableReference from;                // meaningless where `clauses` has a join, subquery, … in its place
  std::optional<Expression> where;
  std::vector<Clause> clauses;
};

// Parses `sql`, which must be one SELECT. Errors have DuckDB's message at its place. Thread-safe.
std::variant<SelectStatement, std::vector<PlanError>> parse_select(DuckDbEngine& engine, std::string_view sql);

// The SQL of an expression, where each column reference is replaced by the column that `rename` names.
Result<std::string> expression_sql(DuckDbEngine& engine, const Expression& expression,
                                   const std::function<std::string(const std::vector<std::string>&)>& rename);

}  // namespace tributary
