// Whose rows a dead letter is about: its key is that of a row between two operators of the view's plan.
#pragma once

#include <string>
#include <vector>

#include "contracts/view_plan.h"

namespace tributary {

struct DeadLetterRow {
  std::string relation;  // a domain or view that the view reads; the view itself: a group of its rows
  std::string key;       // row key bytes
};

// Rows of the relations that the view reads, each of which has a part in what could not be computed: of a joined row the left
// one and the right one. None where the key does not say.
//
//   items i JOIN orders o, key of (items 1, 2 · orders 1)  →  items (1, 2), orders (1)
//   GROUP BY user_id, key of 7                             →  the view (7)
std::vector<DeadLetterRow> rows_of_dead_letter(const ViewPlan& plan, const std::string& key);

// … and of the view's row `key`.
std::vector<DeadLetterRow> rows_of_row(const ViewPlan& plan, const std::string& key);

}  // namespace tributary
