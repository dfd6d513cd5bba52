#include "runtime/recompute.h"

#include <algorithm>

#include "runtime/round_state.h"
#include "runtime/view_subset.h"
#include "storage/storage.h"

namespace tributary {
namespace {

constexpr size_t piece_bytes_max = 2 << 20;    // of raw, a round
constexpr size_t insert_bytes_max = 16 << 20;  // gathered before they go to the store

class Recompute {
 public:
  Recompute(const RecomputePorts& ports, const RecomputeRequest& request) : ports_(ports), request_(request) {}

  Result<uint64_t> run() {
    RETURN_IF_ERROR(prepare());
    for (const auto& [domain, table] : request_.tables) {
      if (graph_->reads(domain)) RETURN_IF_ERROR(feed(domain));
    }
    while (graph_->wants_round() || pending_) RETURN_IF_ERROR(round({}));
    RETURN_IF_ERROR(flush());
    return events_;
  }

 private:
  Status prepare() {
    // Nothing of it outlives the process: no write waits for the disk.
    ASSIGN_OR_RETURN(storage_, Storage::open(request_.folder / "db", {.write_buffer_bytes = 32 << 20}));
    GraphOptions options{.state_suffix = "",
                         .views = with_upstream(request_.plan.views, request_.views),
                         .stored = request_.views,
                         .relations = request_.plan.relations,
                         .find_schema = ports_.find_schema,
                         .workers = 1,
                         .limits = {}};
    for (const ViewPlan& view : options.views) {
      if (!request_.views.contains(view.name)) continue;
      TableDefinition table = view.table();
      table.name = request_.table_prefix + view.name;
      table.shown = false;
      definitions_.push_back(std::move(table));
    }
    RETURN_IF_ERROR(ports_.store.prepare(definitions_, {}));
    ASSIGN_OR_RETURN(graph_, ViewGraph::make(std::move(options), ports_.expressions));
    return {};
  }

  Status feed(const std::string& domain) {
    std::string cursor;
    while (true) {
      ASSIGN_OR_RETURN(RawPiece piece, ports_.raw.scan(request_.client, domain, cursor, piece_bytes_max));
      std::vector<const EventBatch*> batches;
      for (const EventBatch& batch : piece.batches) {
        batches.push_back(&batch);
        events_ += batch.rows() + batch.ranges.size();
      }
      RETURN_IF_ERROR(round(std::move(batches)));
      if (request_.progress && !request_.progress(events_)) return Error{ErrorCode::kCancelled, "given up"};
      if (piece.end) return {};
      cursor = std::move(piece.cursor);
    }
  }

  Status round(std::vector<const EventBatch*> batches) {
    GraphInput input{.batches = std::move(batches), .attributes = &request_.attributes};
    for (const auto& [domain, table] : request_.tables) input.tables[{request_.client, domain}] = table;
    input.run_generation = 1;
    input.checkpoint = ++checkpoint_;
    RoundState state(*storage_);
    KeyedState* states[] = {&state};
    ASSIGN_OR_RETURN(GraphOutput out, graph_->run(input, states, run_serially));
    if (!out.withdrawals.empty()) RETURN_IF_ERROR(flush());
    for (Withdrawal& withdrawal : out.withdrawals) {
      withdrawal.view = request_.table_prefix + withdrawal.view;
      RETURN_IF_ERROR(ports_.store.withdraw(withdrawal));
    }
    for (const GraphOutput::View& view : out.views) RETURN_IF_ERROR(add_rows(view));
    pending_ = out.pending;
    StorageBatch write;
    state.add_to(write);
    RETURN_IF_ERROR(storage_->write(write, {.sync = false}));
    return gathered_bytes_ > insert_bytes_max ? flush() : Status();
  }

  Status add_rows(const GraphOutput::View& view) {
    if (view.rows.rows() == 0) return {};
    std::string table = request_.table_prefix + view.name;
    auto definition = std::find_if(definitions_.begin(), definitions_.end(),
                                   [&](const TableDefinition& of) { return of.name == table; });
    CHECK(definition != definitions_.end(), "{} has no table", table);
    ASSIGN_OR_RETURN(std::string encoded, ports_.store.encode(*definition, view.rows));
    gathered_bytes_ += encoded.size();
    gathered_[table].push_back(std::move(encoded));
    return {};
  }

  Status flush() {
    for (const auto& [table, encoded] : gathered_) {
      std::vector<std::string_view> views(encoded.begin(), encoded.end());
      RETURN_IF_ERROR(ports_.store.insert(table, views));
    }
    gathered_.clear();
    gathered_bytes_ = 0;
    return {};
  }

  const RecomputePorts& ports_;
  const RecomputeRequest& request_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<ViewGraph> graph_;
  std::vector<TableDefinition> definitions_;
  std::map<std::string, std::vector<std::string>> gathered_;  // by table
  size_t gathered_bytes_ = 0;
  uint64_t events_ = 0;
  uint64_t checkpoint_ = 0;
  bool pending_ = false;
};

}  // namespace

Result<uint64_t> recompute(const RecomputePorts& ports, const RecomputeRequest& request) {
  return Recompute(ports, request).run();
}

}  // namespace tributary
