// RoundRunner: one round from the log to a checkpoint. Reads a bounded piece of every partition that has news, merges
// it domain by domain, computes the views, and commits state, raw events, outbox and offsets in one write: the checkpoint.
//
// A failed round leaves nothing behind and is simply run again. Not thread-safe: one thread drives it.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "contracts/analytics.h"
#include "contracts/event_log.h"
#include "contracts/expression.h"
#include "process/view_stage.h"
#include "runtime/outbox.h"
#include "runtime/planned.h"
#include "runtime/round_state.h"
#include "storage/storage.h"

namespace tributary {

// Puts the events of a round into the raw store, within the round's write where it is embedded.
struct RawBlock {
  const LogBlock* block;
  const EventBatch* events;
};
using AddRaw = std::function<Status(StorageBatch& batch, std::span<const RawBlock> blocks)>;

struct RoundPorts {
  Storage& storage;
  EventLog& log;
  ExpressionEngine& expressions;
  const AnalyticsStore& analytics;  // encode() only
  AddRaw add_raw;
  Planner plan;
};

struct RoundLimits {
  size_t bytes_max = 8 << 20;            // encoded blocks read in one round
  size_t partition_bytes_max = 1 << 20;  // of one partition
};

struct RoundOutcome {
  uint64_t events = 0;
  uint64_t outbox_bytes = 0;      // added
  std::vector<ParkedRow> parked;  // newly
};

// Row keys of the rows of one client's view that could not be processed.
Result<std::vector<std::string>> stored_dead_letter_keys(const Storage& storage, const ClientId& client,
                                                         const std::string& view);

class RoundRunner {
 public:
  struct Table {
    ClientId client;
    std::string domain;
    std::string table;
  };

  // Reads the newest checkpoint back. `tables`: which table of a client feeds which domain.
  static Result<std::unique_ptr<RoundRunner>> open(RoundPorts ports, RoundLimits limits, std::vector<Table> tables,
                                                   std::map<ClientId, std::map<std::string, Column>> attributes);

  // kResourceExhausted and kUnavailable: try again later. kCorrupt: stop.
  Result<RoundOutcome> run();

  Checkpoint checkpoint() const { return Checkpoint{checkpoint_.load()}; }
  // What the plan is now. Thread-safe; the generation rises when the tables to prepare changed.
  struct Tables {
    uint64_t generation = 0;
    std::vector<TableDefinition> definitions;
    std::vector<PlanProblem> set_aside;
  };
  Tables tables() const;
  std::map<TopicPartition, Offset> offsets() const;
  std::map<std::pair<ClientId, std::string>, uint64_t> dead_letters() const;  // by client and view
  Result<std::vector<std::string>> dead_letter_keys(const ClientId& client, const std::string& view) const {
    return stored_dead_letter_keys(ports_.storage, client, view);
  }
  // Rows that wait for a value, at most `limit`.
  Result<std::vector<ParkedRow>> parked(size_t limit);

 private:
  struct View {
    std::string name;
    TableDefinition table;
    ViewStage stage;
  };
  struct Domain {
    Relation relation;
    std::vector<View> views;
  };

  RoundRunner(RoundPorts ports, RoundLimits limits) : ports_(std::move(ports)), limits_(limits) {}

  Status load(std::vector<Table> tables, std::map<ClientId, std::map<std::string, Column>> attributes);
  Status load_attributes(std::map<ClientId, std::map<std::string, Column>> attributes);
  Result<std::vector<LogBlock>> read_blocks();
  Result<std::deque<EventBatch>> decode(const std::vector<LogBlock>& blocks);
  Status learn_schemas(const std::deque<EventBatch>& batches);
  Status replan();
  Status process(std::deque<EventBatch> batches, RoundState& state, StorageBatch& write, RoundOutcome& outcome);
  Status process_domain(const std::string& name, DomainMerge& merge, RoundState& state, StorageBatch& write,
                        RoundOutcome& outcome);
  Status put_view(View& view, const MergeOutput& merged, RoundState& state, StorageBatch& write);
  void put_outbox(StorageBatch& write, const OutboxEntry& entry);
  void note_dead(const View& view, const ViewOutputRows& rows, RoundState& state);
  OutboxProgress progress_of(const std::vector<LogBlock>& blocks, const std::deque<EventBatch>& batches) const;

  RoundPorts ports_;
  RoundLimits limits_;
  std::map<ClientId, ClientAttributes> attributes_;
  std::map<std::pair<ClientId, std::string>, SchemaPtr> newest_;  // by client and domain
  std::map<std::string, Domain> domains_;
  std::set<std::pair<ClientId, std::string>> set_aside_;
  std::atomic<uint64_t> checkpoint_ = 0;
  uint64_t next_checkpoint_ = 0;   // of the round being made
  uint32_t outbox_index_ = 0;
  uint64_t outbox_bytes_ = 0;
  size_t first_partition_ = 0;     // where the next round begins, so that none starves

  mutable std::mutex mutex_;       // guards what status reads
  Tables tables_;
  std::map<TopicPartition, Offset> offsets_;
  std::unordered_set<std::string> dead_keys_;      // state keys of dead letters
  std::map<std::pair<ClientId, std::string>, uint64_t> dead_counts_;
};

}  // namespace tributary
