// What the SQL of one view means, checked and typed: a small tree of operators over relations (domains and other views).
// Made by sql/, run by process/, shown by `tributary explain`.
//
// Every relation's rows have a key, unique per client, that no SQL names: a domain's is the row key; operators make theirs
// from their inputs' (docs/formats/state.md). The client is part of every key without being written, so no operator can
// see two clients at once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "contracts/analytics.h"
#include "contracts/expression.h"

namespace tributary {

// A place in a text: line and column from 1.
struct TextPlace {
  size_t line = 1;
  size_t column = 1;
};

struct PlanError {
  TextPlace place;  // within the SQL text
  std::string message;  // what, and what to do
};

// A relation that SQL can name: a domain, or another view.
struct Relation {
  std::string name;
  std::vector<OutputColumn> columns;
  std::vector<std::string> key;  // columns that are unique together, per client; empty: none known. A domain's row key
  bool key_always = true;  // as ViewPlan's
  bool is_view = false;  // else a domain
};

struct MapOutput {
  OutputColumn column;
  std::optional<uint32_t> input;  // passed through unchanged: index into MapPlan::inputs
  std::optional<uint32_t> expression;  // else: index into MapPlan::expressions
};

// One row in, one row or none out: filter and projection.
struct MapPlan {
  std::vector<InputColumn> inputs;  // columns of the input node that it uses, by name
  std::vector<std::string> expressions;  // over `inputs`, as SQL
  std::optional<uint32_t> filter;  // index into expressions; a row passes where it is true
  std::vector<MapOutput> outputs;
};

enum class JoinKind : uint8_t { kInner, kLeft };

// Equality on all pairs of key columns; NULL equals nothing. Gives all of the left input's columns, then all of the
// right's (NULL where a left join found none).
struct JoinPlan {
  JoinKind kind = JoinKind::kInner;
  std::vector<uint32_t> left_key;  // columns of the left input
  std::vector<uint32_t> right_key;  // of the right one; pairwise of one type, or both integers
  bool right_unique = false;  // at most one right row per join key: the result has the left row's key
};

enum class AggregateKind : uint8_t {
  kCountRows,  // count(*)
  kCount,  // of values that are not NULL
  kCountDistinct,
  kSum,
  kAvg,
  kMin,
  kMax,
  kBoolAnd,
  kBoolOr,
  kArgMin,  // `argument` of the row with the least `order`; of equal ones the least argument
  kArgMax,  // … with the greatest `order`; of equal ones the least argument
};

struct AggregateCall {
  AggregateKind kind = AggregateKind::kCountRows;
  std::optional<uint32_t> argument;  // column of the input
  std::optional<uint32_t> order;  // kArgMin, kArgMax: column of the input
  std::optional<uint32_t> filter;  // BOOLEAN column of the input: rows where it is not true do not count
  OutputColumn column;  // the result: count int64; sum of integers decimal(38,0), of decimals decimal(38,scale),
      // of floats float64; avg float64; min, max, arg_min, arg_max as the argument
};

// Groups by the input's first `group_columns` columns (NULLs are equal) and gives them, then one column a call. A group
// without rows does not exist. Without group columns there is one row for every client, always.
// DISTINCT is an aggregate without calls.
struct AggregatePlan {
  uint32_t group_columns = 0;
  bool global = false;  // no GROUP BY was written
  std::vector<AggregateCall> calls;
};

struct OrderColumn {
  uint32_t column = 0;
  bool descending = false;
  bool nulls_first = false;
  friend bool operator==(const OrderColumn&, const OrderColumn&) = default;
};

// QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1: the first row of each partition. Gives the input's first
// `output_columns` columns. Of rows equal in `order` the one that comes first by those columns, ascending, NULLs last.
struct FirstRowPlan {
  std::vector<uint32_t> partition;  // columns of the input; NULLs are equal
  std::vector<OrderColumn> order;
  uint32_t output_columns = 0;
};

enum class NodeKind : uint8_t {
  kDomain,  // rows of a domain: those of its columns that the view uses, by their source's name, then attributes
  // ("client.plan", NULL where a client has none)
  kView,  // rows of another view: those of its columns that are used, then attributes as above
  kMap,  // 1 input
  kJoin,  // 2 inputs: left, right
  kAggregate,  // 1
  kFirstRow,  // 1
  kUnion,  // 2 or more, whose columns have the same types; UNION ALL
};

struct PlanNode {
  NodeKind kind = NodeKind::kMap;
  std::vector<uint32_t> inputs;  // indexes of earlier nodes of the view's plan
  std::vector<OutputColumn> columns;  // what it gives; names are unique within the node
  std::string relation;  // kDomain, kView
  MapPlan map;
  JoinPlan join;
  AggregatePlan aggregate;
  FirstRowPlan first_row;
};

struct ViewPlan {
  std::string name;
  std::vector<PlanNode> nodes;  // inputs before what reads them; the last one gives the view's columns, in order
  std::vector<std::string> key;  // columns of the view that are unique together; empty: none known
  // Whether the key is unique in every round. Else two rows may have one while a change is on its way, through a join with
  // many rows or from row to row of a client whose attributes changed: nothing may rely on it but a place in a table.
  bool key_always = true;
  std::vector<std::string> order_by;  // how the table is sorted below the client. By default `key`
  TableOptions options;

  const std::vector<OutputColumn>& columns() const { return nodes.back().columns; }
  TableDefinition table() const {
    return {.name = name, .columns = columns(), .order_by = order_by, .comment = {}, .options = options};
  }
  // Whether an operator keeps state; else, and where it reads no view that keeps some, a row is a function of one row.
  bool keeps_state() const {
    for (const PlanNode& node : nodes) {
      if (node.kind != NodeKind::kDomain && node.kind != NodeKind::kView && node.kind != NodeKind::kMap &&
          node.kind != NodeKind::kUnion) {
        return true;
      }
    }
    return false;
  }
};

}  // namespace tributary
