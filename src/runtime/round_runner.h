// RoundRunner: one round from the log to a checkpoint. Reads a bounded piece of every partition that has news, runs it
// through the views' graphs, and commits state, raw events, outbox and offsets in one write: the checkpoint.
//
// Views whose plan changed are computed again beside that (builds.h): a round without much news is followed by one that
// feeds a piece of raw to the graph of a new generation. When everything was fed, readers are switched over.
//
// Releases (releases.h) other than the live one are computed by generations of their own in the same way, until a person
// switches to them.
//
// A failed round leaves nothing behind and is simply run again. One thread drives it; what status asks is thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "contracts/analytics.h"
#include "contracts/event_log.h"
#include "contracts/expression.h"
#include "contracts/raw_store.h"
#include "process/view_graph.h"
#include "runtime/builds.h"
#include "runtime/dead_letters.h"
#include "runtime/outbox.h"
#include "runtime/planned.h"
#include "runtime/raw_feed.h"
#include "runtime/releases.h"
#include "runtime/round_state.h"
#include "runtime/stored_facts.h"
#include "runtime/untold_progress.h"
#include "runtime/worker_pool.h"
#include "storage/storage.h"

namespace tributary {

// Puts the events of a round into the raw store, within the round's write.
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
  RawStore& raw;  // scan(), count() and read()
  AddRaw add_raw;  // none where the raw store follows the log by itself
  std::function<bool(const std::map<TopicPartition, Offset>&)>
      raw_has;  // all before these offsets; none: it always has
  Planner plan;
  std::string views;  // what the pipeline file says of them
  // The raw store may be slow or away: what feeds generations is read by a thread of its own, and live rounds go on.
  bool raw_apart = false;
  bool start_with_views =
      true;  // those are live from now on, unless a release has them; false: only where none is live
  int64_t started_micros = 0;  // now
};

struct RoundLimits {
  size_t bytes_max = 8 << 20;  // encoded blocks read in one round
  size_t partition_bytes_max = 1 << 20;  // of one partition
  // However small they are encoded: a round holds them all, decoded, and what each view makes of them, and nobody's events come
  // before it ends. One block more at most.
  size_t events_max = 64 << 10;
  size_t refeed_bytes_max = 2 << 20;  // of raw, in one round
  size_t workers = 1;
  uint64_t dead_letters_max = DeadLetters::kept_max_default;  // of one client's view
  GraphLimits graph = {};
};

struct RoundOutcome {
  uint64_t events = 0;
  bool more = false;  // there is work without new events
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
  // Added to the outbox since it was asked last, by rounds that then failed as well.
  uint64_t take_outbox_bytes() { return std::exchange(outbox_bytes_, 0); }

  Checkpoint checkpoint() const { return Checkpoint{checkpoint_.load()}; }

  // What releases there are, and how far they are.
  struct ReleaseStatus {
    struct View {
      std::string name;
      std::string table;
      bool whole = false;
      bool shared = false;  // another release has the same build
    };
    uint32_t number = 0;
    std::string views;  // their text
    int64_t made_micros = 0;
    bool live = false;
    uint32_t replaced = 0;
    FeedScope scope;
    std::vector<View> builds;
    std::vector<std::string> problems;  // views that do not compile now
    uint64_t events = 0;  // to be fed to what is not shared, about; 0 where nothing is
    uint64_t events_fed = 0;
    Checkpoint whole_at;  // everything that was fed is in the outbox of this checkpoint and those before it
    bool stored = false;  // and the analytics store has it
    bool whole() const;  // everything was fed to all of its views, and it has no problems
  };
  std::vector<ReleaseStatus> releases() const;

  // What a person wants of releases. Carried out by the next round; the future gives the release's number, or why not.
  struct ReleaseOrder {
    enum class Kind : uint8_t {
      kMake,  // computed beside the live one; of an order that was given before, and is being fed, the same release again
      kSwitch,  // it is live from now on, each view for all readers at once
      kRollBack,  // to the one that the live one replaced
      kDrop,
    };
    Kind kind = Kind::kMake;
    uint32_t number = 0;  // to switch to or drop
    std::string views;  // the rest is of kMake
    std::set<std::string> again;
    FeedScope scope;
    uint32_t events_per_second_max = 0;
    int64_t now_micros = 0;
  };
  std::future<Result<uint32_t>> order(ReleaseOrder order);

  // What the plan is now. The generation rises when something is to be prepared, shown or dropped.
  struct Tables {
    uint64_t generation = 0;
    std::vector<TableDefinition> definitions;
    std::vector<std::string> unused;  // tables of builds that are given up, to be dropped
    std::vector<PlanProblem> set_aside;
    std::vector<PlanProblem> lacking;
  };
  Tables tables() const;
  uint64_t tables_generation() const;
  struct Rebuild {
    std::string view;
    size_t refeeds_left = 0;  // of its generation
    size_t refeeds = 0;
  };
  // Of the live release.
  std::vector<Rebuild> rebuilds() const;
  std::map<TopicPartition, Offset> offsets() const;
  // What rounds have read up to a checkpoint, and of whom rows are still to come (nullopt: perhaps of anybody).
  struct Read {
    Checkpoint checkpoint;
    std::map<TopicPartition, Offset> offsets;
    std::optional<std::set<ClientId>> untold;
  };
  Read read() const;
  std::map<std::pair<ClientId, std::string>, DeadLetterCount> dead_letters() const;  // by client and view
  Result<std::vector<std::string>> dead_letter_keys(const ClientId& client, const std::string& view) const {
    return stored_dead_letter_keys(ports_.storage, client, view);
  }
  // Rows that wait for a value, at most `limit`.
  Result<std::vector<ParkedRow>> parked(size_t limit);

  // What a person wants of dead letters of a client's view: the next rounds compute the rows again, or the letters are not
  // listed any more. Empty keys: all.
  struct DeadLetterOrder {
    ClientId client;
    std::string view;
    std::vector<std::string> keys;
    bool drop = false;
  };
  // One that fails for good is not tried again: order_problem() says why, until the next order is done.
  void order(DeadLetterOrder order);
  std::string order_problem() const;
  // Why what is computed from raw waits, while nothing else does; empty: it does not.
  std::string feed_problem() const;
  // The sender has brought readers over to new builds, or dropped tables: look.
  void look_at_builds() { builds_changed_ = true; }
  // The store has lost rows of a table: its view is computed again, as one whose plan changed. One that no build has is no matter.
  void build_again(const std::string& table);

 private:
  struct Generation {
    uint32_t number = 1;
    std::unique_ptr<ViewGraph> graph;
  };
  using Batches = std::vector<std::shared_ptr<const EventBatch>>;
  // What one round is made of.
  struct Pass {
    uint64_t checkpoint = 0;
    StorageBatch write;
    std::vector<std::unique_ptr<RoundState>> states;  // one a worker
    std::vector<KeyedState*> state_pointers;
    uint32_t outbox_index = 0;
    uint64_t outbox_bytes = 0;
    RoundOutcome outcome;

    Pass(Storage& storage, size_t workers, uint64_t number);
  };

  RoundRunner(RoundPorts ports, RoundLimits limits)
      : ports_(std::move(ports)),
        limits_(limits),
        reader_(ports_.log.open_reader()),
        pool_(limits.workers),
        feed_(ports_.raw),
        dead_(limits.dead_letters_max) {}

  Status load(std::vector<Table> tables, std::map<ClientId, std::map<std::string, Column>> attributes);
  Status load_offsets();
  Status load_attributes(std::map<ClientId, std::map<std::string, Column>> attributes,
                         std::map<ClientId, ClientAttributes>& changed);
  Status use_changed_attributes(const std::map<ClientId, ClientAttributes>& changed);
  Result<std::vector<LogBlock>> read_blocks();
  Result<Batches> decode(const std::vector<LogBlock>& blocks);
  Status learn_schemas(const Batches& batches);
  Status replan();
  Status choose_builds(const std::vector<ClientTable>& tables, std::map<uint32_t, PlannedPipeline>& plans);
  Status make_graphs(const std::map<uint32_t, PlannedPipeline>& plans);
  Status finish_replan();
  Result<ClientsSetAside> clients_set_aside() const;
  Result<uint32_t> version_of(const ClientId& client, const TableSchema& schema) const;
  bool stands_still(const EventBatch& batch) const;
  uint32_t live_build(const std::string& view) const;
  bool superseded(const Build& build) const;
  bool generation_has(const std::string& suffix, const std::string& view) const;
  bool generation_reads(const std::string& suffix, const std::string& domain) const;
  Status take_switches();
  Status drop_state_of_unused(Pass& pass);
  Status define_tables();

  Result<RoundOutcome> live_round();
  Result<RoundOutcome> refeed_round(const Refeed& refeed);
  const Refeed* next_refeed();
  bool may_be_fed(uint32_t generation) const;
  bool raw_can_feed(const Refeed& refeed);
  Result<std::optional<RawPiece>> next_piece(const Refeed& refeed, size_t bytes_max);
  Status release_round();
  Result<uint32_t> carry_out(const ReleaseOrder& order);
  Result<uint32_t> make_release(const ReleaseOrder& order);
  Status switch_to(uint32_t number);
  Status drop_release(uint32_t number);
  Status count_feeds();
  void take_counts();
  void note_releases();
  ReleaseStatus status_of(const Release& release) const;
  bool may_order();
  Result<RoundOutcome> order_round();
  Result<RoundOutcome> carry_out(const DeadLetterOrder& order);
  Status retry(const DeadLetterOrder& order, Generation& generation, Pass& pass);
  Status retry_all(const DeadLetterOrder& order, Generation& generation, Pass& pass);
  Status run_graph(Generation& generation, GraphInput input, Pass& pass);
  Status remove_outdated(Pass& pass, const std::string& table, std::vector<DeadRow>& dead);
  Result<std::set<std::string>> outdated(const UncheckedLetters& of, const RowKeys& keys);
  bool letters_to_check() const;
  Status check_letters();
  Status commit(Pass& pass);
  void put_outbox(Pass& pass, const OutboxEntry& entry);
  GraphInput input_of(const Generation& generation) const;
  const TableDefinition* definition_of(const std::string& table) const;
  bool unfinished() const;
  bool unfinished(const ClientId& client) const;

  RoundPorts ports_;
  RoundLimits limits_;
  std::unique_ptr<LogReader> reader_;
  WorkerPool pool_;
  std::vector<Table> client_tables_;
  std::map<ClientId, ClientAttributes> attributes_;
  std::map<std::pair<ClientId, std::string>, SchemaPtr> newest_;  // by client and domain
  PlannedPipeline plan_;  // the live release's
  std::map<uint32_t, std::vector<std::string>> release_problems_;  // of views, by release
  Releases releases_;
  Builds builds_;
  std::map<uint32_t, uint64_t> events_to_feed_;  // by generation, about
  std::map<uint32_t, std::chrono::steady_clock::time_point> next_feed_;  // of generations with a rate
  // What raw has to have before a refeed begins: all that was processed when it was first looked at.
  std::map<std::tuple<uint32_t, ClientId, std::string>, std::map<TopicPartition, Offset>> feeds_need_;
  bool raw_is_behind_ = false;  // so that a refeed waits
  RawFeed feed_;
  bool behind_ = false;  // the newest round left something in the log
  size_t rounds_not_fed_ = 0;  // since a release was fed last
  uint64_t outbox_bytes_ = 0;  // not told yet
  std::vector<Generation> generations_;
  ClientsSetAside set_aside_;
  std::vector<ClientId> absent_clients_;  // known before, and not in the pipeline file now
  std::atomic<uint64_t> checkpoint_ = 0;
  std::atomic<bool> builds_changed_ = false;
  size_t first_partition_ = 0;  // where the next round begins, so that none starves
  std::map<TopicPartition, Offset> read_;  // as offsets_, by the rounds' thread
  std::map<TopicPartition, uint64_t> lives_;  // of the log's partitions (EventLog::life)
  UntoldProgress untold_;
  DeadLetters dead_;
  // Letters that may be outdated, by key: raw did not have what was processed before when their rows failed.
  std::map<UncheckedLetters, RowKeys> unchecked_;
  std::map<TopicPartition, Offset> check_needs_;  // of raw
  std::chrono::steady_clock::time_point next_check_;

  mutable std::mutex mutex_;  // guards what status reads and others ask for
  Tables tables_;
  std::vector<Rebuild> rebuilds_;
  std::map<TopicPartition, Offset> offsets_;
  Checkpoint offsets_at_;  // by which round
  std::optional<std::set<ClientId>> untold_clients_;  // after it
  std::vector<ReleaseStatus> release_status_;
  std::map<uint32_t, Checkpoint> whole_at_;  // by release
  std::map<std::string, std::string> counted_tables_;  // by view: whose dead letters are told
  std::set<std::string> lost_tables_;  // of which the builds are to be given up
  std::deque<DeadLetterOrder> orders_;
  struct PendingRelease {
    ReleaseOrder order;
    std::promise<Result<uint32_t>> done;
  };
  std::deque<PendingRelease> release_orders_;
  std::string order_problem_;
  std::string feed_problem_;
};

// The releases of a pipeline that does not run, without how far they are fed and what is wrong with them: `events` is 0.
Result<std::vector<RoundRunner::ReleaseStatus>> stored_releases(const Storage& storage);

}  // namespace tributary
