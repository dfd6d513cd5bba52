// Compares main.__s with main.__a (compared_rows.h). First by a 128-bit hash of every row, so that equal rows cost a hash each;
// then what is left, value by value.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "verify/compared_rows.h"

namespace tributary {

// One finding: a row for which the two sides do not agree.
struct RowDifference {
  FindingKind kind{};
  std::string key;  // JSON array of the key's texts; of all columns' texts where the view has no key
  std::string source_version;  // changes when the source's row does; empty: the source has none
  std::vector<CellDifference> cells;
  std::string reason;
};

struct Comparison {
  std::vector<RowDifference> differences;
  std::map<FindingKind, uint64_t> more;  // differences beyond `differences_max`
  uint64_t excepted_absent = 0;  // excepted rows that the analytics do not have
};

struct CompareOptions {
  std::vector<size_t> key;  // columns of the view; empty: as a multiset of rows
  std::set<size_t> exact_averages;  // columns that may differ by one unit in the last place, and no more
  size_t differences_max = 0;
};
Result<Comparison> compare(ScratchDatabase& database, const VerifyView& view, const CompareOptions& options);

// Leaves in main.__s and main.__a only rows with these keys, as RowDifference has them.
Status keep_keys(ScratchDatabase& database, const VerifyView& view, const std::vector<size_t>& key,
                 const std::vector<std::string>& keys);

// "id=7, region=eu"
std::string key_for_people(const VerifyView& view, const std::vector<size_t>& key, const std::string& key_json);

}  // namespace tributary
