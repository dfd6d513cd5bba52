// Random views in the supported SQL.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim_case.h"

namespace tributary::simulation {

struct ReadableColumn {
  std::string name;
  LogicalType type;
  bool exact = true;  // no double that depends on the order of additions: may be a key, a group, a place
  bool held = false;  // may have values that the type cannot hold
  bool big = false;  // a DECIMAL(38,2) of which a sum may be beyond the type
};

// A relation that a view may read: a domain, or an earlier view.
struct Readable {
  std::string name;
  std::vector<ReadableColumn> columns;
};

// What may fail in a view. Its chances are apart from the others, so that a seed's views are the same without it.
struct Oddities {
  Random random;
  Random names;  // of what columns are called, and what is named without its relation
  bool casts = false;  // expressions that fail for some values
  bool held = false;  // values that their types cannot hold
  bool big = false;  // decimals of which two are beyond the type's range
  bool zeros = false;  // doubles that are equal and not the same: 0 and -0
};

// View number `number`, which reads some of `relations`. `result` is what it gives. `may_fail`: some rows of the SELECT list
// may fail.
ViewText make_view(Random& random, const std::vector<Readable>& relations, uint32_t number, bool may_fail,
                   Oddities& odd, Readable& result);

// What stands in the batch for a value that `type` cannot hold: one that occurs nowhere else. Nullopt: `text` is none.
std::optional<std::string> stand_in(const LogicalType& type, const std::string& text);

}  // namespace tributary::simulation
