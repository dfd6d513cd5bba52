// ViewGraph: the plans of a set of views as one graph of operators, driven round by round. A view that others read is
// computed once; a domain is merged once for all of them.
//
// Two kinds of rows leave it (docs/formats/analytics-table.md). Of views whose rows are functions of one domain's row ("by
// row"): every row that a fact touched, versioned by the fact's position, one that does not pass as a tombstone; they need
// nothing to be remembered. Of all others: what consolidates to a change in this round, versioned by (run generation,
// checkpoint).
//
// Pure: events, states, attributes and checkpoint are inputs, and threads are the caller's (Executor). The outcome does not
// depend on the number of workers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "process/attributes.h"
#include "process/domain_merge.h"
#include "process/join.h"
#include "process/map_stage.h"
#include "process/operator.h"

namespace tributary {

// Calls work(0) … work(count − 1), perhaps at the same time, and returns when all have returned.
using Executor = std::function<void(size_t count, const std::function<void(size_t)>& work)>;
void run_serially(size_t count, const std::function<void(size_t)>& work);

struct DeadRow {
  ClientId client;
  std::string key;  // of the view's row; dead_key() where it fails inside a plan of several operators
  Position position;  // zero where several facts made it
  std::string reason;
  // Of one row of a domain that keeps none: where there is a newer fact about it in rounds before, it is that one's to fail.
  std::string domain;
  std::string row_key;
};

// A row that is computed, or gone: it is not dead by facts up to this position.
struct ClearedRow {
  ClientId client;
  std::string key;  // as DeadRow's
  Position position;
};

// Which row of which operator of its view failed.
std::string dead_key(size_t node, std::string_view key);
struct FailedAt {
  std::optional<size_t>
      node;  // of the view's plan; nullopt: the key is that of the one row that a view by row can fail at
  std::string key;
};
FailedAt failed_at(const std::string& dead_letter_key);
// Whether a row's key begins as a dead_key() does: in a late branch of a large union alone. Then it has to be made one.
bool looks_marked(std::string_view key);

struct GraphLimits {
  size_t sweep_rows_max = 5000;  // stored rows looked at again in a round, per client and domain
  size_t resume_rows_max = 20'000;  // output rows of changes on their way through many rows, per operator and round
  size_t parallel_rows_min = 4096;  // fewer are mapped by one worker
  JoinLimits join;
};

struct GraphOptions {
  std::string state_suffix;  // of all names of entries in keyed state: "" or "@3"
  std::vector<ViewPlan> views;  // each after those that it reads
  std::set<std::string> stored;  // those whose rows are wanted
  std::map<std::string, Relation> relations;  // domains
  FindSchema find_schema;
  size_t workers = 1;
  GraphLimits limits;
};

struct TouchedRow {
  std::string domain;
  ClientId client;
  std::string table;
  std::string key;
};

struct GraphInput {
  std::vector<const EventBatch*> batches;  // of any domains and clients
  const std::map<ClientId, ClientAttributes>* attributes = nullptr;  // of all clients
  std::map<std::pair<ClientId, std::string>, std::string> tables;  // by client and domain: the source's table
  std::vector<TouchedRow> touched;  // to be given out again
  struct Result {
    size_t node;
    ClientId client;
    std::string key;
  };
  std::vector<Result> results_again;  // as RowOfLetter names them: to be given out again
  bool facts_again =
      false;  // rows that the batches are about are given out again, where the domain does not keep all of them
  std::set<std::string> views_with_dead;  // for which `cleared` is wanted
  uint64_t run_generation = 0;
  uint64_t checkpoint = 0;
};

// Rows of a view with keys in [low, high), as DeadRow has them, and positions before `below` are gone: those that failed too.
struct DeadRange {
  ClientId client;
  std::string low;
  std::string high;  // empty: open
  Position below;
};

struct GraphOutput {
  struct View {
    std::string name;
    OutputBatch rows;
    std::vector<DeadRow> dead;
    std::vector<ClearedRow> cleared;
    std::vector<DeadRange> gone;  // … of rows of earlier rounds
  };
  std::vector<View> views;  // with news
  std::vector<Withdrawal> withdrawals;  // take effect on rows of earlier rounds, before this round's rows
  std::vector<ParkedRow> parked;
  bool pending = false;  // another round is wanted even without events
};

// A row that has a part in what failed: of a domain, or the result of an operator under a key of its own.
struct RowOfLetter {
  std::string domain;  // empty: of an operator
  size_t node = 0;  // … as GraphInput::Result has it
  std::string key;
};

class ViewGraph {
 public:
  static Result<std::unique_ptr<ViewGraph>> make(GraphOptions options, ExpressionEngine& engine);
  ~ViewGraph();

  // One round. `states` are one a worker, fresh for this round, over one store. After an error nothing of the round may be
  // kept, and forget_pending() must be called.
  Result<GraphOutput> run(const GraphInput& input, std::span<KeyedState* const> states, const Executor& executor);

  // Whether a round without events has something to do.
  bool wants_round() const;
  // Whether rows that follow from what the client's events said are still to come.
  bool unfinished(const ClientId& client) const;
  // What is pending is looked up again.
  void forget_pending();

  // Whether the view's rows are functions of one domain's row.
  bool by_row(const std::string& view) const;
  // Whether the domain's rows are kept (so that attribute changes and retries are sweeps and touches).
  bool keeps_rows(const std::string& domain) const;
  // From which row follows what the view's letter says; nullopt: the key is not of this plan.
  std::optional<RowOfLetter> row_of_letter(const std::string& view, const std::string& dead_letter_key) const;
  // Whether a stored view depends on the domain.
  bool reads(const std::string& domain) const;
  // Whether a stored view that reads `domain` uses attributes.
  bool uses_attributes(const std::string& domain) const;
  const GraphOptions& options() const;
  std::string state_name(const std::string& domain) const;

 private:
  struct Impl;
  explicit ViewGraph(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary
