// The syntax of one query, with the place of every part: what planners walk. Made by DuckDB's parser, whose own
// description of the tree (json_serialize_sql) stays inside syntax_tree.cpp and syntax_expression.cpp.
//
//   auto parsed = parse_query(engine, "SELECT id, lower(email) AS email FROM users WHERE id > 7");
//   std::get<Query>(parsed).select.select_list[1].alias   // "email"
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

inline constexpr size_t sql_bytes_max = 256 * 1024;  // of one view's SQL
inline constexpr size_t expression_depth_max = 200;  // of expressions inside expressions
inline constexpr size_t relations_max = 64;          // in one FROM
inline constexpr size_t selects_max = 256;            // in one view

enum class ExpressionKind : uint8_t {
  kColumn,       // name_parts: ["o", "id"]
  kConstant,
  kFunction,     // name: lower case; operators too: "+", "~~" for LIKE. Aggregates too
  kCast,         // CAST and TRY_CAST
  kCase,
  kComparison,   // name is DuckDB's ("COMPARE_EQUAL")
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

// How a call was written beside its arguments.
struct CallDetails {
  size_t arguments = 0;     // the first children
  bool has_filter = false;  // the child behind them
  bool distinct = false;
  bool ordered = false;     // ORDER BY inside the call
  std::string schema;       // where it was written, else "" or "main"
};

struct WindowOrder {
  size_t child = 0;
  bool descending = false;
  bool nulls_first = false;
};
struct WindowDetails {
  bool row_number = false;        // row_number() OVER (…) without anything else: no frame, no arguments
  std::vector<size_t> partition;  // children
  std::vector<WindowOrder> order;
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kOther;
  size_t offset = 0;  // in the SQL text, in bytes
  std::string name;
  std::string alias;                    // empty: none
  std::vector<std::string> name_parts;  // kColumn
  std::vector<Expression> children;
  std::optional<int64_t> integer;       // kConstant of an integer type
  std::optional<std::string> text;      // kConstant of a text
  CallDetails call;                     // kFunction
  WindowDetails window;                 // kWindow
  std::string star_relation;              // kStar: "o" of o.*
  std::vector<std::string> star_exclude;  // kStar
  bool star_modified = false;             // kStar: REPLACE, RENAME, COLUMNS(…)

  std::shared_ptr<const nlohmann::json> shape;  // DuckDB's description, with a hole for each child
};

// A part of a statement that no planner knows.
enum class ClauseKind : uint8_t {
  kWith,
  kDistinctOn,
  kGroupingSets,
  kEmptyGroup,
  kOrderBy,
  kLimit,
  kSample,
  kExcept,
  kIntersect,
  kUnionByName,
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

enum class JoinForm : uint8_t {
  kInner,
  kLeft,
  kRight,
  kFull,
  kSemi,
  kAnti,
  kCross,  // a comma, or CROSS JOIN
  kNatural,
  kAsof,
  kPositional,
  kNested,  // a join on the right side, in parentheses
  kOther,
};
struct Join {
  JoinForm form = JoinForm::kInner;
  TableReference right;                // meaningless for kNested, and where `clauses` has something in its place
  std::optional<Expression> condition;
  std::vector<std::string> using_columns;
  size_t offset = 0;
};

struct SelectStatement {
  std::vector<Expression> select_list;
  TableReference from;                // meaningless where `clauses` has a subquery, … in its place
  std::vector<Join> joins;            // left to right
  std::optional<Expression> where;
  std::vector<Expression> group_by;
  bool group_by_all = false;
  std::optional<Expression> having;
  std::optional<Expression> qualify;
  std::optional<size_t> distinct;     // its offset
  size_t offset = 0;
  std::vector<Clause> clauses;
};

// A SELECT, or a UNION of some.
struct Query {
  SelectStatement select;       // where `inputs` is empty
  std::vector<Query> inputs;    // else two or more of them
  std::vector<size_t> offsets;  // of the words UNION, one less
  bool distinct = false;        // UNION without ALL
  std::vector<Clause> clauses;  // of the union
};

// Parses `sql`, which must be one SELECT. Errors have DuckDB's message at its place. Thread-safe.
std::variant<Query, std::vector<PlanError>> parse_query(DuckDbEngine& engine, std::string_view sql);

// The relations in FROM, in the order in which they are written.
std::vector<TableReference> relations_of(const Query& query);

// A copy of `expression` in which `replace` has put something else in the place of some of its parts. Called from the
// outside in; what it gave is not walked again, and takes the alias of what it stands for.
using Replace = std::function<std::optional<Expression>(const Expression&)>;
Expression rewrite(const Expression& expression, const Replace& replace);

Expression column_expression(std::string name, size_t offset);
// CAST(1 AS BIGINT): what row_number() gives the first row.
Expression one_expression(size_t offset);
// CAST(expression AS type). `type` is one of DuckDB's without parameters ("HUGEINT"); DECIMAL has the digits given.
Expression cast_expression(Expression expression, const std::string& type, uint8_t precision = 0, uint8_t scale = 0);

// Equal for expressions that are the same but for their places and their alias.
std::string expression_identity(const Expression& expression);

// The SQL of an expression as DuckDB writes it, where each column reference is replaced by the column that `rename` names.
using Rename = std::function<std::string(const std::vector<std::string>&)>;
Result<std::string> expression_sql(DuckDbEngine& engine, const Expression& expression, const Rename& rename = {});

}  // namespace tributary
