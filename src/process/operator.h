// Operators: what a view's plan is made of when it runs. Each takes the rows that came and went below it, keeps what it
// must remember in keyed state, and gives the rows that come and go above it. Pure: state, rows and budgets are inputs.
//
// Exchange: rows that share an operator key (join key, group key, partition) and client must be given to one call with one
// state; different keys may be given to different workers at the same time. exchange_hash() says which belong together, so
// that nothing depends on how many workers there are.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "contracts/keyed_state.h"
#include "contracts/view_plan.h"
#include "process/rows.h"

namespace tributary {

// A row that an operator could not compute; it is not in the operator's output.
struct FailedRow {
  ClientId client;
  std::string key;  // the output's; the input's where it takes no part (first_row.h)
  std::string reason;
};

// A row that may have failed in an earlier call, and does not any more: it is gone, or its failure was another row's.
struct SettledRow {
  ClientId client;
  std::string key;
};

struct OperatorOutput {
  Rows rows;  // consolidated
  std::vector<FailedRow> failed;
  std::vector<SettledRow> settled;  // beside those that are in `rows`
  std::set<ClientId> pending;  // for whom work is left for resume(), recorded in the state
};

// Where an operator's entries are: kind · client · length of `name` · `name` · rest (docs/formats/state.md).
struct StateName {
  uint16_t kind;
  std::string name;

  std::string key(std::string_view client, std::string_view rest = {}) const;
};

class Operator {
 public:
  virtual ~Operator() = default;

  // `inputs` are consolidated, one a plan input. Call after call sees the state that the one before left.
  virtual Result<OperatorOutput> run(KeyedState& state, std::span<const Rows> inputs) = 0;

  // Goes on with work that run() left, for these keys of its own (as pending_keys() gave them), at most about `rows_max`
  // output rows.
  struct PendingKey {
    ClientId client;
    std::string key;
  };
  virtual Result<OperatorOutput> resume(KeyedState&, std::span<const PendingKey>, size_t /*rows_max*/) {
    return OperatorOutput{};
  }
  virtual Result<std::vector<PendingKey>> pending_keys(KeyedState&, const ClientId&, size_t /*limit*/) {
    return std::vector<PendingKey>{};
  }

  // The result under `key`, if there is one, as it is now: of weight 0, or failed. Of operators whose results have their
  // operator keys.
  virtual Result<OperatorOutput> show_again(KeyedState&, const ClientId&, const std::string& /*key*/) {
    return OperatorOutput{};
  }

  // Equal for rows that must meet. `input` is the number of the input.
  virtual uint64_t exchange_hash(size_t input, const Rows& rows, size_t row) const = 0;
};

// A number for (client, key): equal for equal ones.
uint64_t exchange_hash_of(std::string_view client, std::string_view key);

}  // namespace tributary
