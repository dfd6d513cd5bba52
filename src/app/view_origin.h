// Of what a view's rows are made, by its plan: for `tributary trace`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "contracts/view_plan.h"

namespace tributary {

// The rows that an aggregate takes in, as a view of their own.
struct AggregateOrigin {
  ViewPlan rows;
  std::map<std::string, std::string> input_of_column;  // a group column of the view → the column of `rows` that it is
  struct Call {
    std::string column;  // of the view
    std::string sql;  // the same over `rows`, in ClickHouse's SQL
  };
  std::vector<Call> calls;
  std::vector<std::string> labels;  // of the columns of `rows`, for people
};

// nullopt where the view's last operator is no aggregate.
std::optional<AggregateOrigin> aggregate_origin(const ViewPlan& view);

// The domain of which each of the view's rows is one row, under the same key columns; nullopt: not so.
std::optional<std::string> domain_of_row(const ViewPlan& view);

}  // namespace tributary
