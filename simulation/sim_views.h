// Random views in the supported SQL.
#pragma once

#include <string>
#include <vector>

#include "sim_case.h"

namespace tributary::simulation {

struct ReadableColumn {
  std::string name;
  LogicalType type;
  bool exact = true;  // no double that depends on the order of additions: may be a key, a group, a place
};

// A relation that a view may read: a domain, or an earlier view.
struct Readable {
  std::string name;
  std::vector<ReadableColumn> columns;
};

// View number `number`, which reads some of `relations`. `result` is what it gives. `may_fail`: some rows may fail.
ViewText make_view(Random& random, const std::vector<Readable>& relations, uint32_t number, bool may_fail,
                   Readable& result);

}  // namespace tributary::simulation
