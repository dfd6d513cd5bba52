// What a group remembers of one aggregate call, and its result.
//
// Counts and sums live in the accumulator. min, max, arg_min, arg_max and count(DISTINCT) also need every value that is in
// the group, ordered, with its number of occurrences, so that the next one is found when one goes: those are entries of
// their own in the keyed state (AggregateOperator), of which the accumulator holds the first.
#pragma once

#include <optional>
#include <string>

#include "contracts/view_plan.h"
#include "process/exact_sum.h"
#include "process/rows.h"

namespace tributary {

// Whether a call keeps an entry a value, and what is in its bytes.
bool keeps_values(AggregateKind kind);

struct CallState {
  int64_t count = 0;  // values that are not NULL; for bool_and/bool_or the true ones
  int64_t others = 0;  // bool_and, bool_or: the false ones; count(DISTINCT): different values
  ExactInteger integer;  // sum, avg of integers and decimals
  ExactDouble real;  // sum, avg of floats
  std::string first;  // keeps_values(): order bytes of the first value; empty: none
  std::string cell;  // … and the cell that is the result
};

// How calls are computed, by the types of their columns.
class CallRules {
 public:
  CallRules(const AggregateCall& call, std::span<const OutputColumn> input);

  const AggregateCall& call() const { return call_; }
  // Whether `row` counts: its filter is true, and the argument (and order) is not NULL.
  bool counts(const Rows& rows, size_t row) const;
  // Why the row cannot be taken in: a cell that its type cannot hold. nullopt: it can.
  std::optional<std::string> unusable(const Rows& rows, size_t row) const;

  // Takes the row in (weight 1) or out (−1). Not for the value entries.
  void add(CallState& state, const Rows& rows, size_t row, int64_t weight) const;

  // keeps_values(): the bytes that order the row's value among the group's, and the cell that is the result for it.
  std::string value_order(const Rows& rows, size_t row) const;
  std::string value_cell(const Rows& rows, size_t row) const;

  // Appends the result; an error where it is out of its type's range (then nothing is appended).
  Status append_result(const CallState& state, int64_t rows_in_group, Column& out) const;

  void encode(const CallState& state, std::string& out) const;
  CallState decode(ByteReader& reader) const;

 private:
  bool is_float_sum() const;
  bool sums() const { return call_.kind == AggregateKind::kSum || call_.kind == AggregateKind::kAvg; }

  AggregateCall call_;
  LogicalType argument_type_{TypeId::kInt64};
};

}  // namespace tributary
