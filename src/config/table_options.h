// A view's partition_by, ttl and settings: checked against its plan, and put into it.
//
// A row is replaced by what has the same client, order_by columns and key. Rows of different partitions do not replace each
// other, and one that expires before what it replaced would bring that back: so both are functions of order_by's columns,
// which are the same in every version of a row, the deleted ones among them.
#pragma once

#include <vector>

#include "config/pipeline.h"
#include "contracts/view_plan.h"

namespace tributary {

// Errors at their places in the file; without any, `plan.options` is what the file says. `plan.order_by` is final.
std::vector<FileError> read_table_options(const Pipeline& pipeline, const ViewConfig& view, ViewPlan& plan);

}  // namespace tributary
