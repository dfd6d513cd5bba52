#include "runtime/recompute.h"

#include <algorithm>

#include "model/gather.h"
#include "runtime/round_state.h"
#include "runtime/view_subset.h"
#include "storage/storage.h"

namespace tributary {
namespace {

constexpr size_t piece_bytes_max = 2 << 20;    // of values of raw, a round
constexpr size_t insert_bytes_max = 16 << 20;  // gathered before they go to the store

}  // namespace

struct Recompute::Impl {
  RecomputePorts ports;
  const RecomputeRequest& request;
  std::unique_ptr<Storage> storage;
  std::unique_ptr<ViewGraph> graph;
  std::vector<TableDefinition> definitions;
  std::map<std::string, std::vector<std::string>> gathered;  // by table
  size_t gathered_bytes = 0;
  bool hold = false;  // nothing goes to the store
  Written* written = nullptr;
  uint64_t events = 0;
  uint64_t checkpoint = 0;
  bool pending = false;
  const Row* row = nullptr;  // only its events are fed, or all but those
  bool row_alone = false;

  // Events of the row, or all others. Ranges are nobody's.
  EventBatch part_of(const EventBatch& batch) const {
    std::vector<uint32_t> rows;
    for (uint32_t i = 0; i < batch.rows(); ++i) {
      bool is_of_row = batch.domain == row->domain && batch.row_key(i) == row->key;
      if (is_of_row == row_alone) rows.push_back(i);
    }
    EventBatch part = gather(batch, rows);
    if (!row_alone) part.ranges = batch.ranges;
    return part;
  }

  Status prepare() {
    ASSIGN_OR_RETURN(storage, Storage::open(request.folder / "db", {.write_buffer_bytes = 32 << 20}));
    GraphOptions options{.state_suffix = "",
                         .views = with_upstream(request.plan.views, request.views),
                         .stored = request.views,
                         .relations = request.plan.relations,
                         .find_schema = ports.find_schema,
                         .workers = 1,
                         .limits = {}};
    for (const ViewPlan& view : options.views) {
      if (!request.views.contains(view.name)) continue;
      TableDefinition table = view.table();
      table.name = request.table_prefix + view.name;
      table.shown = false;
      table.options.history = false;
      definitions.push_back(std::move(table));
    }
    RETURN_IF_ERROR(ports.store.prepare(definitions, {}));
    ASSIGN_OR_RETURN(graph, ViewGraph::make(std::move(options), ports.expressions));
    return {};
  }

  Status feed(const std::string& domain, std::optional<Position> after, std::optional<Position> up_to) {
    RawQuery query;
    query.client = request.client;
    query.domain = domain;
    query.after = after;
    query.up_to = up_to;
    std::vector<EventBatch> piece;
    size_t bytes = 0;
    Status failed;
    auto run = [&] {
      failed = round(piece);
      piece.clear();
      bytes = 0;
      if (failed.ok() && request.progress && !request.progress(events))
        failed = Error{ErrorCode::kCancelled, "given up"};
      return failed.ok();
    };
    RETURN_IF_ERROR(ports.raw.read(query, [&](const EventBatch& batch) {
      events += batch.rows() + batch.ranges.size();
      bytes += batch.value_bytes();
      piece.push_back(row == nullptr ? batch : part_of(batch));
      return bytes < piece_bytes_max || run();
    }));
    if (failed.ok() && !piece.empty()) run();
    return failed;
  }

  Status feed_all(std::optional<Position> after, std::optional<Position> up_to) {
    for (const auto& [domain, table] : request.tables) {
      if (graph->reads(domain)) RETURN_IF_ERROR(feed(domain, after, up_to));
    }
    while (graph->wants_round() || pending) RETURN_IF_ERROR(round({}));
    return {};
  }

  Status round(const std::vector<EventBatch>& batches) {
    GraphInput input{.attributes = &request.attributes};
    for (const EventBatch& batch : batches) input.batches.push_back(&batch);
    for (const auto& [domain, table] : request.tables) input.tables[{request.client, domain}] = table;
    input.run_generation = 1;
    input.checkpoint = ++checkpoint;
    RoundState state(*storage);
    KeyedState* states[] = {&state};
    ASSIGN_OR_RETURN(GraphOutput out, graph->run(input, states, run_serially));
    // A withdrawal takes effect on the rows before it, so they have to be there.
    if (!out.withdrawals.empty()) {
      hold = false;
      RETURN_IF_ERROR(flush());
    }
    for (Withdrawal& withdrawal : out.withdrawals) {
      withdrawal.view = request.table_prefix + withdrawal.view;
      RETURN_IF_ERROR(ports.store.withdraw(withdrawal));
    }
    for (const GraphOutput::View& view : out.views) RETURN_IF_ERROR(add_rows(view));
    pending = out.pending;
    StorageBatch write;
    state.add_to(write);
    RETURN_IF_ERROR(storage->write(write, {.sync = false}));  // nothing of it outlives the process
    return gathered_bytes > insert_bytes_max && !hold ? flush() : Status();
  }

  Status add_rows(const GraphOutput::View& view) {
    if (view.rows.rows() == 0) return {};
    std::string table = request.table_prefix + view.name;
    auto definition = std::find_if(definitions.begin(), definitions.end(),
                                   [&](const TableDefinition& of) { return of.name == table; });
    CHECK(definition != definitions.end(), "{} has no table", table);
    if (written != nullptr) (*written)[view.name].insert(view.rows.keys.begin(), view.rows.keys.end());
    ASSIGN_OR_RETURN(std::string encoded, ports.store.encode(*definition, view.rows));
    gathered_bytes += encoded.size();
    gathered[table].push_back(std::move(encoded));
    return {};
  }

  Status flush() {
    for (const auto& [table, encoded] : gathered) {
      std::vector<std::string_view> views(encoded.begin(), encoded.end());
      RETURN_IF_ERROR(ports.store.insert(table, views));
    }
    gathered.clear();
    gathered_bytes = 0;
    return {};
  }
};

Recompute::Recompute(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Recompute::~Recompute() = default;

Result<std::unique_ptr<Recompute>> Recompute::make(RecomputePorts ports, const RecomputeRequest& request) {
  auto impl = std::make_unique<Impl>(Impl{.ports = std::move(ports), .request = request});
  RETURN_IF_ERROR(impl->prepare());
  return std::unique_ptr<Recompute>(new Recompute(std::move(impl)));
}

Status Recompute::feed(std::optional<Position> after, std::optional<Position> up_to) {
  return impl_->feed_all(after, up_to);
}

Status Recompute::flush() { return impl_->flush(); }

uint64_t Recompute::events() const { return impl_->events; }

Result<Recompute::Written> Recompute::feed_and_tell(Position after, Position up_to, const std::optional<Row>& only) {
  Written written;
  if (only) {
    impl_->row = &*only;
    Status others = impl_->feed_all(after, up_to);
    if (others.ok()) others = impl_->flush();
    if (!others.ok()) impl_->row = nullptr;
    RETURN_IF_ERROR(others);
    impl_->row_alone = true;
  }
  impl_->written = &written;
  impl_->hold = true;
  Status fed = impl_->feed_all(after, up_to);
  impl_->written = nullptr;
  impl_->hold = false;
  impl_->row = nullptr;
  impl_->row_alone = false;
  if (!fed.ok()) return std::move(fed).error();
  return written;
}

}  // namespace tributary
