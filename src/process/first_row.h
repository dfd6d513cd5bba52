// FirstRowOperator: QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1, kept exact when the first row goes.
//
// State (docs/formats/state.md): every row of a partition, ordered by (order columns, output columns, row key); and which one
// is the first, so that most changes need no look at the others.
#pragma once

#include <string>
#include <vector>

#include "process/operator.h"

namespace tributary {

class FirstRowOperator final : public Operator {
 public:
  FirstRowOperator(FirstRowPlan plan, std::span<const OutputColumn> output, std::string name);

  Result<OperatorOutput> run(KeyedState& state, std::span<const Rows> inputs) override;
  Result<OperatorOutput> show_again(KeyedState& state, const ClientId& client, const std::string& key) override;
  uint64_t exchange_hash(size_t input, const Rows& rows, size_t row) const override;

 private:
  struct Partition {
    ClientId client;
    std::string key;
    bool again = false;  // its first row is wanted again
    std::string stored;  // place of the first row, as it was; empty: none
    std::string cells;  // … and its output columns
    std::string first;  // now
    std::string first_cells;
    bool lost = false;  // the first one went, and what comes next has to be looked for
  };

  std::string partition_key(const Rows& rows, size_t row) const;
  std::string place_of(const Rows& rows, size_t row) const;
  std::optional<std::string> unusable(const Rows& rows, size_t row) const;
  Result<std::vector<Partition>> load(KeyedState& state, const Rows& rows,
                                      std::vector<uint32_t>& partition_of_row) const;
  void take(KeyedState& state, Partition& partition, const Rows& rows, size_t row) const;
  Status look(KeyedState& state, Partition& partition) const;
  Status append_result(const Partition& partition, const std::string& cells, int8_t weight, Rows& out) const;

  FirstRowPlan plan_;
  std::vector<OutputColumn> output_;
  StateName first_;
  StateName rows_;
};

}  // namespace tributary
