// A view's plan for people: as a tree of text, and as a picture (SVG 1.1).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "contracts/view_plan.h"

namespace tributary {

// What a node does, what its rows are keyed by, and what it remembers.
struct NodeDescription {
  std::string title;   // "left join"
  std::vector<std::string> lines;  // "on o.user_id = c.id"
  std::string key;     // "client_id, id"
  std::string state;   // "every row of both sides, by client_id and join key"; empty: none
};

// `kept_domains`: those whose rows are remembered, since something above takes back.
NodeDescription describe_node(const ViewPlan& plan, size_t node, const std::map<std::string, Relation>& relations,
                              const std::set<std::string>& kept_domains);

// One view's plan, the root first.
std::string plan_tree(const ViewPlan& plan, const std::map<std::string, Relation>& relations,
                      const std::set<std::string>& kept_domains);
// The plans of one view or several in one picture.
std::string plan_svg(const std::vector<const ViewPlan*>& plans, const std::map<std::string, Relation>& relations,
                     const std::set<std::string>& kept_domains);

}  // namespace tributary
