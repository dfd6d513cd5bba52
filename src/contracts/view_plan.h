// What the SQL of one view means, checked and typed. This views are functions of one row: a filter and a
// projection over one domain. Joins, dedupe and aggregates extend it.
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
  TextPlace place;      // within the SQL text
  std::string message;  // what, and what to do
};

// A relation that SQL can name: a domain, or another view.
struct Relation {
  std::string name;
  std::vector<OutputColumn> columns;
  std::vector<std::string> key;  // its row key's columns
};

struct ViewOutput {
  OutputColumn column;
  std::optional<uint32_t> input;       // passed through unchanged: index into ViewPlan::inputs
  std::optional<uint32_t> expression;  // else: index into ViewPlan::expressions
};

struct ViewPlan {
  std::string name;
  std::string relation;                  // the domain it reads
  std::vector<InputColumn> inputs;       // columns that it uses: the relation's by name, attributes as "client.plan"
  std::vector<std::string> expressions;  // over `inputs`, as SQL
  std::optional<uint32_t> filter;        // index into expressions; a row passes where it is true
  std::vector<ViewOutput> outputs;
  std::vector<std::string> order_by;     // outputs that are the relation's key columns, when all of them are passed through

  TableDefinition table() const {
    TableDefinition definition{.name = name, .order_by = order_by};
    for (const ViewOutput& output : outputs) definition.columns.push_back(output.column);
    return definition;
  }
};

}  // namespace tributary
