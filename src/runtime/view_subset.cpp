#include "runtime/view_subset.h"

namespace tributary {

std::vector<ViewPlan> with_upstream(const std::vector<ViewPlan>& views, std::set<std::string> names) {
  for (size_t i = views.size(); i-- > 0;) {
    if (!names.contains(views[i].name)) continue;
    for (const PlanNode& node : views[i].nodes) {
      if (node.kind == NodeKind::kView) names.insert(node.relation);
    }
  }
  std::vector<ViewPlan> out;
  for (const ViewPlan& view : views) {
    if (names.contains(view.name)) out.push_back(view);
  }
  return out;
}

}  // namespace tributary
