// From a view's rows of one round to the store's: versions and tombstones (docs/formats/analytics-table.md).
#pragma once

#include "process/graph_flow.h"

namespace tributary {

// Of a view by row: versions are position · attribute revision · fill.
OutputBatch versioned_output(const Flow& flow);

// Of other views: one row a key that changed, as it is, or a tombstone. Where a sort column's value changed there are both,
// since the store finds rows by it.
OutputBatch changed_output(const Rows& changes, std::span<const OutputColumn> columns,
                           const std::vector<std::string>& order_by, const Version& version);

}  // namespace tributary
