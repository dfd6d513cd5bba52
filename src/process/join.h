// JoinOperator: INNER and LEFT JOIN on equality, kept exact when rows of either side come and go.
//
// State (docs/formats/state.md): the rows of both sides under (side, join key, row key), and per join key how many there are.
//
// A change that meets more than `fan_out_rows_max` rows of the other side (one customer with a million orders gets another
// name) does not stop the others: it is recorded under its join key, and passes through those rows piece by piece, in
// resume(). While it passes, rows of the other side with keys below its cursor have met the changed side as it is, those from the
// cursor on as it was; further changes of that side wait in a queue behind it, and those of the other side where they would
// meet too many rows. Left rows of a join whose right side is unique never wait: they have one result row, under their own key,
// which must not be given up after its successor came. The result rows of other joins have the join key in theirs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "process/join_state.h"
#include "process/operator.h"

namespace tributary {

struct JoinLimits {
  size_t fan_out_rows_max = 2000;  // rows of the other side that a change meets at once
  size_t pass_changes_max = 64;  // changes that pass together
};

class JoinOperator final : public Operator {
 public:
  JoinOperator(JoinPlan plan, std::span<const OutputColumn> left, std::span<const OutputColumn> right, std::string name,
               JoinLimits limits = {});

  Result<OperatorOutput> run(KeyedState& state, std::span<const Rows> inputs) override;
  Result<OperatorOutput> resume(KeyedState& state, std::span<const PendingKey> keys, size_t rows_max) override;
  Result<std::vector<PendingKey>> pending_keys(KeyedState& state, const ClientId& client, size_t limit) override;
  uint64_t exchange_hash(size_t input, const Rows& rows, size_t row) const override;

 private:
  struct Group {  // a join key with changes in this call
    ClientId client;
    std::string key;
    JoinKeyState known;
    std::string stored;  // `known` as it was stored
    std::optional<JoinRow> only_right;  // plan.right_unique: the right row, loaded with the key
    std::vector<JoinChange> changes[2];  // by side
  };

  std::optional<std::string> join_key(size_t side, const Rows& rows, size_t row) const;
  // Rows without a join key meet nothing: those of the left side go to `out` at once where the join is a left one.
  std::vector<Group> gather_groups(std::span<const Rows> inputs, Rows& out) const;
  Status load(KeyedState& state, std::vector<Group>& groups) const;
  Status run_at_once(KeyedState& state, Group& group, Rows& out) const;
  Status run_beside_pass(KeyedState& state, Group& group, Rows& out) const;
  Status run_other_side(KeyedState& state, Group& group, Rows& out) const;
  bool must_wait(const Group& group, int side) const;
  // Whether a change of the other side would meet more of this side's rows than can be at once.
  bool has_many(const Group& group, int side) const;
  Status begin_pass(KeyedState& state, Group& group, int side) const;
  Status pass_row(const Group& group, const JoinRow& other, Rows& out) const;
  Status advance(KeyedState& state, Group& group, size_t rows_max, Rows& out) const;
  Status take_queue(KeyedState& state, Group& group, Rows& out) const;
  Status queue(KeyedState& state, Group& group, int side) const;
  void store_changes(KeyedState& state, Group& group, int side) const;
  Status store_key(KeyedState& state, const Group& group) const;

  // The rows of a side under the group's key, from row key `from`, at most `limit` (0: all).
  Result<std::vector<JoinRow>> rows_of(KeyedState& state, const Group& group, int side, std::string_view from = {},
                                       size_t limit = 0) const;
  // Appends left ⋈ right, or the left row alone where `right` is null.
  Status append_pair(const Group& group, const JoinRow& left, const JoinRow* right, int8_t weight, Rows& out) const;
  // All that one row of side `side` makes with `others`, the whole of the other side.
  Status append_with(const Group& group, int side, const JoinRow& row, const std::vector<JoinRow>& others,
                     int8_t weight, Rows& out) const;
  Status append_change(const Group& group, int side, const JoinChange& change, const std::vector<JoinRow>& others,
                       Rows& out) const;
  std::string row_key(const Group& group, int side, std::string_view key) const;
  // At most one row a join key: it is kept under no key of its own, and another that takes its place is a change of it.
  bool unique_side(int side) const { return side == 1 && plan_.right_unique; }
  bool left_join() const { return plan_.kind == JoinKind::kLeft; }

  JoinPlan plan_;
  size_t left_columns_;
  std::vector<OutputColumn> output_;  // types only
  StateName rows_;
  StateName keys_;
  StateName pending_;
  StateName queue_;
  JoinLimits limits_;
};

}  // namespace tributary
