// ViewStage: merged rows of a domain in, rows of one view out. Pure but for the expression program it drives.
//
// A view here is a function of one row: a filter and a projection. Every row that comes in goes out: one that fails the
// filter, or was deleted, as a deleted row, so that an older version of it disappears. A row that cannot be computed is
// withdrawn the same way and reported.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "contracts/view_plan.h"
#include "process/domain_merge.h"

namespace tributary {

struct DeadRow {
  ClientId client;
  std::string key;
  Position position;
  std::string reason;
};

struct ViewOutputRows {
  OutputBatch rows;
  std::vector<DeadRow> dead;
};

// A client's attributes by name, each as one cell.
struct ClientAttributes {
  uint32_t revision = 0;
  std::map<std::string, Column> values;  // one row each
};

class ViewStage {
 public:
  // `relation` is the layout of the rows given to run().
  ViewStage(ViewPlan plan, Relation relation, std::unique_ptr<ExpressionProgram> program);

  const ViewPlan& plan() const { return plan_; }

  Result<ViewOutputRows> run(const MergedRows& live, const MergedRows& gone,
                             const std::map<ClientId, ClientAttributes>& attributes);

 private:
  Result<ExpressionOutput> compute(const MergedRows& live, const std::map<ClientId, ClientAttributes>& attributes);

  // The attribute that input `input` of the plan names, for each of `rows`.
  Column attribute_column(size_t input, const MergedRows& rows,
                          const std::map<ClientId, ClientAttributes>& attributes) const;

  ViewPlan plan_;
  Relation relation_;
  std::unique_ptr<ExpressionProgram> program_;        // null where the plan has no expressions
  std::vector<std::optional<uint32_t>> input_column_; // relation column of each plan input; nullopt: an attribute
};

}  // namespace tributary
