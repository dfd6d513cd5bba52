// A view's plan as text: to compare plans (an operator whose text is the same may keep its state), and to store them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "contracts/view_plan.h"

namespace tributary {

// All that decides what the plan computes and how its state is laid out: operators, expressions, types. Equal texts, equal
// results. One line a node.
std::string plan_text(const ViewPlan& plan);

// What a view's rows were computed by: its own text, and that of all it reads.
struct PlanFingerprint {
  std::string exact;  // hash, hexadecimal
  // Of views that are one filter and projection over a domain: what may change without computing old rows again.
  std::string core;  // filter and relation; empty for other views
  struct Output {
    std::string from;  // what it is computed from
    LogicalType type;
  };
  std::map<std::string, Output> outputs;  // by name; of a build also those that it had and has no more
  std::vector<std::string> relation_columns;  // that there were

  std::string encode() const;
  static Result<PlanFingerprint> decode(std::string_view bytes);
};

// `upstream` are the fingerprints of the views that it reads; `relations` the domains.
PlanFingerprint fingerprint_of(const ViewPlan& plan, const std::map<std::string, PlanFingerprint>& upstream,
                               const std::map<std::string, Relation>& relations);

// Whether rows computed by `old` stay right under `now`: the same plan, or columns that the source added since (NULL in old
// rows until they change), that it lost, or whose numbers became wider.
bool rows_stay_right(const PlanFingerprint& old, const PlanFingerprint& now);

}  // namespace tributary
