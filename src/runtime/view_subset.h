// Some of a plan's views, with all that they read.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "contracts/view_plan.h"

namespace tributary {

// The views that `names` read, with them, in the plan's order.
std::vector<ViewPlan> with_upstream(const std::vector<ViewPlan>& views, std::set<std::string> names);

}  // namespace tributary
