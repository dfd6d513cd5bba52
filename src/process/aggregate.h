// AggregateOperator: GROUP BY and its calls, or DISTINCT, kept exact when rows go.
//
// State (docs/formats/state.md): one entry a group with its group columns' cells, its number of rows and each call's
// accumulator; for calls that need all values of a group, one entry a different value with its number of occurrences.
// A group without rows has no entry. A row that cannot be taken in (a value that its type cannot hold, in a sum) marks its
// group as failed as long as it is in: the group's number would be wrong without it.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "process/aggregate_calls.h"
#include "process/operator.h"

namespace tributary {

class AggregateOperator final : public Operator {
 public:
  // `input` are the columns that it is given; `name` is unique to the operator.
  AggregateOperator(AggregatePlan plan, std::span<const OutputColumn> input, std::span<const OutputColumn> output,
                    std::string name);

  Result<OperatorOutput> run(KeyedState& state, std::span<const Rows> inputs) override;
  Result<OperatorOutput> show_again(KeyedState& state, const ClientId& client, const std::string& key) override;
  uint64_t exchange_hash(size_t input, const Rows& rows, size_t row) const override;

  // The row of a global aggregate over nothing, for a client that has not been seen before: +1, or nothing.
  Result<OperatorOutput> seed(KeyedState& state, const ClientId& client) const;

 private:
  struct Group {
    ClientId client;
    std::string key;
    std::string stored;  // the entry as it was; empty: none
    std::string cells;  // of the group columns
    int64_t rows = 0;
    int64_t unusable = 0;  // rows that cannot be taken in
    bool again = false;  // its result is wanted again
    std::string reason;  // why: of all such rows' reasons the first one
    std::vector<CallState> calls;
  };
  struct ValueChange {
    size_t group = 0;
    size_t call = 0;
    std::string order;
    std::string cell;
    int64_t weight = 0;
  };
  using Values = std::unordered_map<std::string, ValueChange>;  // by state key
  // Reasons why rows cannot be taken in are kept as values of a call of this number.
  static constexpr size_t reasons = UINT16_MAX;

  Result<std::vector<Group>> load(KeyedState& state, const Rows& rows, std::vector<uint32_t>& group_of_row) const;
  bool decode(std::string_view bytes, Group& group) const;
  std::string encode(const Group& group) const;
  void take(Group& group, size_t number, const Rows& rows, size_t row, Values& values) const;
  Status change_values(KeyedState& state, std::vector<Group>& groups, Values values) const;
  Status find_first(KeyedState& state, Group& group, size_t call) const;
  Status find_reason(KeyedState& state, Group& group) const;
  std::string value_prefix(const Group& group, size_t call) const;
  bool exists(const Group& group) const { return plan_.global || group.rows > 0; }
  // Appends the group's row, or says why there is none.
  Status append_result(const Group& group, int8_t weight, Rows& out) const;

  AggregatePlan plan_;
  std::vector<OutputColumn> output_;
  std::vector<CallRules> rules_;
  StateName groups_;
  StateName values_;
};

}  // namespace tributary
