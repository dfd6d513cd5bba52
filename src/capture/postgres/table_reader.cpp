// Reading tables beside the stream: snapshots in chunks of ctid ranges, and single rows by their keys.
//
// A chunk is one short REPEATABLE READ transaction: its snapshot is asked for, then the rows are copied. No order, index
// or collation matters. At which position its rows count is visibility.h's; why whole tables come out right although
// rows move between chunks is docs/formats/position.md, "Snapshots".
#include <algorithm>
#include <boost/asio/use_awaitable.hpp>

#include "capture/postgres/chunk_reader.h"
#include "capture/postgres/lock_wait.h"
#include "capture/postgres/row_key_sql.h"

namespace tributary {
namespace {

using Clock = PgConnection::Clock;
using Kind = Trouble::Kind;
using std::chrono::milliseconds;

constexpr milliseconds connect_limit{20'000};
constexpr uint64_t chunk_blocks_max = 1 << 16;  // 512 MiB of dead rows
constexpr size_t keys_a_query = 200;

std::string column_list(const CatalogTable& table) {
  std::string list;
  for (const CatalogColumn& column : table.columns) {
    list += (list.empty() ? "" : ", ") + quote_pg_identifier(column.column.name);
  }
  return list;
}

// A table being read.
struct TableRun {
  std::string name;
  uint64_t times_forgotten = 0;  // before it began
  CatalogTable table;
  std::vector<CatalogRelation> relations;
  TableTarget target;
  SnapshotState progress;
  uint64_t chunk_blocks = 64;
  uint64_t blocks_total = 0;
  uint64_t blocks_before = 0;  // of the relations that are done
  uint64_t blocks_at_start = 0;
  double rows_estimated = 0;
  Clock::time_point started = Clock::now();
};

void show_progress(ClientContext& context, const TableRun& run) {
  uint64_t done = run.blocks_before + run.progress.next_block;
  SnapshotProgress shown;
  shown.table = run.name;
  shown.rows_read = run.progress.rows;
  shown.fraction =
      run.blocks_total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(run.blocks_total));
  double estimate =
      shown.fraction > 0.05 ? static_cast<double>(run.progress.rows) / shown.fraction : run.rows_estimated;
  shown.rows_estimated = std::max(run.progress.rows, static_cast<uint64_t>(std::max(0.0, estimate)));
  double seconds = std::chrono::duration<double>(Clock::now() - run.started).count();
  if (done > run.blocks_at_start && run.blocks_total > done) {
    shown.seconds_left =
        seconds / static_cast<double>(done - run.blocks_at_start) * static_cast<double>(run.blocks_total - done);
  }
  std::lock_guard lock(context.board.mutex);
  auto& list = context.board.status.snapshots;
  auto at =
      std::find_if(list.begin(), list.end(), [&](const SnapshotProgress& entry) { return entry.table == run.name; });
  if (at == list.end()) at = list.insert(list.end(), shown);
  *at = shown;
}

void hide_progress(ClientContext& context, const std::string& table) {
  std::lock_guard lock(context.board.mutex);
  std::erase_if(context.board.status.snapshots, [&](const SnapshotProgress& entry) { return entry.table == table; });
}

// Rows of one chunk: few where the client is held to a pace, since they are counted only afterwards.
uint64_t chunk_rows(const ClientContext& context) {
  return context.pace.rows_at_once(context.snapshot_pace.rows_at_once(context.options.chunk_rows));
}

// Those that came since are read last.
void take_relations(TableRun& run, std::vector<CatalogRelation> relations) {
  run.relations = std::move(relations);
  for (size_t i = run.progress.relations.size(); i < run.relations.size(); ++i)
    run.progress.relations.push_back(run.relations[i].relation);
}

// Partitions that the stream has told of since (ClientContext::add_partitions): finish() looks for them. True: there are some.
bool take_told(const ClientContext& context, TableRun& run) {
  auto stored = context.snapshots.find(run.name);
  if (stored == context.snapshots.end()) return false;
  std::vector<SnapshotRelation>& known = run.progress.relations;
  size_t before = known.size();
  for (const SnapshotRelation& told : stored->second.relations) {
    bool is_known = std::any_of(known.begin(), known.end(), [&](const auto& one) { return one.oid == told.oid; });
    if (!is_known) known.push_back(told);
  }
  return known.size() > before;
}

// Finds the table and where to go on, or to begin. False: the table is not there (any more).
asio::awaitable<Result<bool>> plan(TableConnection& reader, TableRun& run) {
  ClientContext& context = reader.context;
  run.times_forgotten = context.times_forgotten[run.name];
  Result<std::optional<CatalogTable>> found = co_await find_table(reader.connection, split_table_name(run.name));
  if (!found.ok()) co_return found.error();
  if (!*found || !(*found)->refusal().empty()) co_return false;
  run.table = std::move(**found);
  Result<SchemaPtr> schema = co_await context.register_schema(schema_of(run.table));
  if (!schema.ok()) co_return schema.error();
  run.target = {*schema, context.domains.at(run.name)};
  Result<std::vector<CatalogRelation>> relations = co_await find_relations(reader.connection, run.table.oid);
  if (!relations.ok()) co_return relations.error();
  run.relations = std::move(*relations);

  SnapshotState fresh;
  fresh.epoch = context.state.epoch;
  fresh.domain = run.target.domain;
  fresh.table_oid = run.table.oid;
  fresh.publication_mark = context.publication_marks[run.name];
  fresh.key = run.table.key;
  for (const CatalogColumn& column : run.table.columns) fresh.columns.push_back(column.column);
  for (const CatalogRelation& relation : run.relations) {
    fresh.relations.push_back(relation.relation);
    fresh.relations.back().came = 0;
  }
  auto stored = context.snapshots.find(run.name);
  bool resumes = stored != context.snapshots.end() && !stored->second.done && stored->second.epoch == fresh.epoch &&
                 stored->second.columns == fresh.columns && stored->second.key == fresh.key &&
                 stored->second.table_oid == fresh.table_oid &&
                 stored->second.publication_mark == fresh.publication_mark &&
                 stored->second.next_relation <= stored->second.relations.size() && stored->second.first != Position{};
  run.progress = fresh;
  if (auto relations = resumes ? in_order(stored->second.relations, run.relations) : std::nullopt) {
    run.progress = stored->second;
    take_relations(run, std::move(*relations));
  }
  // A block has seldom more than 64 rows, and the first chunk tells.
  run.chunk_blocks = std::clamp<uint64_t>(chunk_rows(context) / 64, 1, context.options.chunk_first_blocks);
  for (size_t i = 0; i < run.relations.size(); ++i) {
    uint64_t blocks = run.relations[i].bytes / 8192;
    run.blocks_total += blocks;
    if (i < run.progress.next_relation) run.blocks_before += blocks;
    run.rows_estimated += std::max(0.0, run.relations[i].rows);
  }
  run.blocks_at_start = run.blocks_before + run.progress.next_block;
  co_return true;
}

void adapt(const ClientContext& context, TableRun& run, const Chunk& chunk) {
  double by_rows = static_cast<double>(chunk_rows(context)) / static_cast<double>(std::max<size_t>(chunk.rows, 1));
  double by_bytes =
      static_cast<double>(context.options.chunk_bytes) / static_cast<double>(std::max<size_t>(chunk.bytes, 1));
  double factor = std::clamp(std::min(by_rows, by_bytes), 0.1, 8.0);
  run.chunk_blocks =
      std::clamp<uint64_t>(static_cast<uint64_t>(static_cast<double>(run.chunk_blocks) * factor), 1, chunk_blocks_max);
}

// Changes of the table were left out meanwhile (ClientContext::forget_snapshot).
bool forgotten(const ClientContext& context, const TableRun& run) {
  auto times = context.times_forgotten.find(run.name);
  return times != context.times_forgotten.end() && times->second != run.times_forgotten;
}

enum class Next { kMore, kDone, kAgain };

bool is_in(const std::vector<CatalogRelation>& relations, uint32_t oid) {
  return std::ranges::any_of(relations, [&](const CatalogRelation& it) { return it.relation.oid == oid; });
}

// Partitions went, and what is left of those that were read is as it was.
bool only_went(const std::vector<SnapshotRelation>& read, const std::vector<CatalogRelation>& now) {
  return std::ranges::all_of(read, [&](const SnapshotRelation& known) {
    return std::ranges::all_of(
        now, [&](const CatalogRelation& it) { return it.relation.oid != known.oid || it.relation == known; });
  });
}

// A partition that went while its table is read: the others are read to the end, and then all of them again. To begin again at once
// would never end where partitions go faster than that.
asio::awaitable<Result<bool>> skip_if_gone(TableConnection& reader, TableRun& run) {
  if (run.table.kind != 'p') co_return false;
  Result<std::vector<CatalogRelation>> now = co_await find_relations(reader.connection, run.table.oid);
  if (!now.ok()) co_return now.error();
  if (is_in(*now, run.relations[run.progress.next_relation].relation.oid)) co_return false;
  ++run.progress.next_relation;
  run.progress.next_block = 0;
  run.progress.end_block = 0;
  co_return true;
}

void append_absence(ClientContext& context, const TableRun& run) {
  std::vector<EventBatch> batches;
  batches.emplace_back(context.config.client, run.target.domain, run.target.schema);
  batches[0].ranges.push_back({.kind = RangeKind::kAbsence, .position = run.progress.first});
  context.append_rows(std::move(batches), 0, run.name, run.progress);
}

// Reads the next chunk and queues it with the progress after it.
asio::awaitable<Result<Next>> read_next(TableConnection& reader, TableRun& run) {
  ClientContext& context = reader.context;
  SnapshotState& progress = run.progress;
  if (progress.next_relation >= run.relations.size()) co_return Next::kDone;
  const CatalogRelation& relation = run.relations[progress.next_relation];
  if (!context.visibility.remembers()) {
    Trouble passed = co_await pass_barrier(reader);
    if (passed.kind != Kind::kNone) co_return Error{ErrorCode::kUnavailable, passed.reason};
  }
  uint64_t times_forgotten = context.visibility.times_forgotten();
  uint64_t end = progress.next_block + run.chunk_blocks;
  bool bounded = progress.end_block != 0 && end >= progress.end_block;
  if (bounded) end = progress.end_block;
  // A partition that we may not read is read through its table, which looks into the same blocks of all its others, too.
  std::string from = relation.readable ? "ONLY " + relation.quoted : run.table.name.quoted();
  std::string itself = relation.readable ? "" : fmt::format(" AND tableoid = {}", relation.relation.oid);
  ChunkQuery query{.copy = fmt::format("SELECT {} FROM {} WHERE ctid >= '({},0)'::tid AND ctid < '({},0)'::tid{}",
                                       column_list(run.table), from, progress.next_block, end, itself),
                   .relation = relation.relation.oid};
  Result<Chunk> chunk = co_await read_chunk(reader, run.target, std::move(query));
  bool no_table = !chunk.ok() && reader.connection.sqlstate() == "42P01";
  if (!chunk.ok() && !no_table) co_return chunk.error();
  if (chunk.ok() && context.visibility.times_forgotten() != times_forgotten) co_return Next::kMore;  // once more
  // Rewritten (VACUUM FULL, CLUSTER, ALTER TABLE, TRUNCATE): rows are in other places now.
  if (no_table || chunk->file_node != relation.relation.file_node) {
    Result<bool> skipped = co_await skip_if_gone(reader, run);
    if (!skipped.ok()) co_return skipped.error();
    co_return *skipped ? Next::kMore : Next::kAgain;
  }
  if (forgotten(context, run)) co_return Next::kAgain;
  if (progress.first == Position{}) progress.first = chunk->position;
  CHECK(chunk->position >= progress.first, "a chunk counts before the first one of its table");
  // Rows that are put behind the end of now are told by the stream.
  if (progress.end_block == 0) progress.end_block = std::max<uint64_t>(chunk->relation_blocks, 1);
  progress.rows += chunk->rows;
  progress.next_block = end;
  if (end >= progress.end_block) {
    run.blocks_before += relation.bytes / 8192;
    ++progress.next_relation;
    progress.next_block = 0;
    progress.end_block = 0;
  }
  adapt(context, run, *chunk);
  (void)take_told(context, run);
  context.append_rows(std::move(chunk->batches), chunk->bytes, run.name, progress);
  show_progress(context, run);
  // An append that failed ends the session elsewhere (watch_source).
  (void)co_await context.wait_for_room(context.table_bytes_in_flight);
  asio::steady_timer timer(context.executor, context.snapshot_pace.wait_from(Clock::now()));
  co_await timer.async_wait(asio::use_awaitable);
  co_return Next::kMore;
}

// All rows were read: what is older than the first chunk and was in none is gone.
asio::awaitable<Result<Next>> finish(TableConnection& reader, TableRun& run) {
  ClientContext& context = reader.context;
  Result<std::optional<CatalogTable>> now = co_await find_table(reader.connection, split_table_name(run.name));
  if (!now.ok()) co_return now.error();
  if (forgotten(context, run)) co_return Next::kAgain;
  if (!*now || !reread_reason(run.progress, **now).empty()) co_return Next::kAgain;
  Result<std::vector<CatalogRelation>> relations = co_await find_relations(reader.connection, run.table.oid);
  if (!relations.ok()) co_return relations.error();
  if (run.table.kind == 'p') {
    auto known = in_order(run.progress.relations, *relations);
    if (!known) {
      // What was older is gone all the same; what partitions brought since, until they went, is found by reading again.
      bool went = run.progress.first != Position{} && only_went(run.progress.relations, *relations);
      if (went) append_absence(context, run);
      co_return Next::kAgain;
    }
    take_relations(run, std::move(*known));
    if (take_told(context, run)) co_return Next::kMore;
    if (run.progress.next_relation < run.relations.size()) co_return Next::kMore;
  }
  if (run.progress.first == Position{}) {  // no leaf, no chunk: empty as of now
    run.progress.first = Position::before_commit(context.state.epoch, context.delivered_lsn);
  }
  run.progress.done = true;
  append_absence(context, run);
  co_return Next::kDone;
}

// What was read of the table so far stays; it comes again when it is its turn.
asio::awaitable<Trouble> come_back(TableConnection& reader, const std::string& name) {
  const std::set<std::string> only{name};
  reader.context.locked[name] = co_await lock_holder(reader.connection, only);
  reader.context.show_tables();
  co_return Trouble{};
}

asio::awaitable<Trouble> read_table(TableConnection& reader, std::string name) {
  ClientContext& context = reader.context;
  TableRun run;
  run.name = name;
  auto told = [&context, &name] {
    auto stored = context.snapshots.find(name);
    return stored == context.snapshots.end() ? 0 : stored->second.relations.size();
  };
  size_t told_before = told();
  Result<bool> planned = co_await plan(reader, run);
  if (!planned.ok() && waited_for_lock(planned.error())) co_return co_await come_back(reader, name);
  if (!planned.ok()) co_return reader.failed(planned.error());
  if (context.locked.erase(name) > 0) context.show_tables();
  if (!*planned) {
    context.tables_to_read.erase(name);  // refresh_tables() says why, and asks again when it is back
    co_return Trouble{};
  }
  if (run.progress.first == Position{}) {
    if (told() > told_before) co_return Trouble{};  // of partitions that the plan may lack
    context.snapshots[name] = run.progress;  // what the stream tells meanwhile is compared with this reading
  }
  Trouble passed = co_await pass_barrier(reader);
  if (passed.kind == Kind::kNone) passed = co_await pass_mark(reader, "snapshot");
  if (passed.kind != Kind::kNone) co_return passed;
  context.set_mode(SourceMode::kSnapshot);
  Result<Next> next = Next::kMore;
  while (next.ok() && *next == Next::kMore) {
    next = co_await read_next(reader, run);
    if (next.ok() && *next == Next::kDone) next = co_await finish(reader, run);
  }
  if (!next.ok() && waited_for_lock(next.error())) co_return co_await come_back(reader, name);
  hide_progress(context, name);
  if (next.ok() && *next == Next::kDone) {
    context.tables_to_read.erase(name);
    co_return Trouble{};
  }
  // The table changed under us: it is read from its beginning.
  const std::string& state = reader.connection.sqlstate();
  bool changed_under_us = next.ok() || state == "42P01" || state == "42703";
  if (!changed_under_us) co_return reader.failed(next.error());
  context.snapshots.erase(name);
  asio::steady_timer timer(context.executor, milliseconds(200));
  co_await timer.async_wait(asio::use_awaitable);
  co_return Trouble{};
}

// Takes some of the rows that somebody wants to have again; empty where nobody does.
std::vector<std::string> take_wanted(ClientContext& context, std::string& table) {
  std::vector<std::string> keys;
  std::lock_guard lock(context.board.mutex);
  auto& wanted = context.board.wanted_rows;
  if (wanted.empty()) return keys;
  auto first = wanted.begin();
  table = first->first;
  while (!first->second.empty() && keys.size() < keys_a_query) {
    keys.push_back(std::move(first->second.extract(first->second.begin()).value()));
  }
  if (first->second.empty()) wanted.erase(first);
  return keys;
}

asio::awaitable<Trouble> read_rows(TableConnection& reader, std::string name, std::vector<std::string> keys) {
  ClientContext& context = reader.context;
  TableRun run;
  run.name = name;
  if (!context.domains.contains(name)) co_return Trouble{};
  Result<bool> planned = co_await plan(reader, run);
  if (!planned.ok() && waited_for_lock(planned.error())) co_return Trouble{};  // best effort, as below
  if (!planned.ok()) co_return reader.failed(planned.error());
  if (!*planned) co_return Trouble{};
  Trouble passed = co_await pass_barrier(reader);
  if (passed.kind == Kind::kNone) passed = co_await pass_mark(reader, "rows");
  if (passed.kind != Kind::kNone) co_return passed;
  std::string conditions;
  std::set<std::string> missing;
  for (const std::string& key : keys) {
    std::optional<std::string> condition = row_key_condition(run.table, key, context.server_text);
    if (!condition) continue;
    conditions += (conditions.empty() ? "" : " OR ") + *condition;
    missing.insert(key);
  }
  if (conditions.empty()) co_return Trouble{};
  ChunkQuery query{
      .copy = fmt::format("SELECT {} FROM {} WHERE {}", column_list(run.table), run.table.name.quoted(), conditions),
      .want_keys = true};
  uint64_t times_forgotten = context.visibility.times_forgotten();
  Result<Chunk> chunk = co_await read_chunk(reader, run.target, std::move(query));
  if (chunk.ok() && context.visibility.times_forgotten() != times_forgotten) co_return Trouble{};  // as below
  if (!chunk.ok()) {
    if (reader.connection.usable()) co_return Trouble{};  // best effort: they are asked for again
    co_return reader.failed(chunk.error());
  }
  for (const std::string& key : chunk->keys) missing.erase(key);
  if (!missing.empty()) {
    EventBatch gone(context.config.client, run.target.domain, run.target.schema);
    for (const std::string& key : missing) {
      gone.ranges.push_back({.kind = RangeKind::kAbsence, .position = chunk->position, .low = key, .high = key + '\0'});
    }
    chunk->batches.push_back(std::move(gone));
  }
  LogAppend append{context.config.client, std::move(chunk->batches), {}};
  context.queue_append(std::move(append), chunk->bytes, &context.table_bytes_in_flight, std::nullopt);
  co_return Trouble{};
}

}  // namespace

asio::awaitable<Trouble> read_tables(ClientContext& context) {
  TableConnection reader(context);
  std::string read_last;
  while (true) {
    std::string table;
    std::vector<std::string> keys;
    bool snapshot = !context.tables_to_read.empty();
    if (!snapshot) keys = take_wanted(context, table);
    if (!snapshot && keys.empty()) {
      reader.connection.close();
      co_await context.work.wait(milliseconds(500));
      continue;
    }
    if (!reader.connection.usable()) {
      Status connected = co_await reader.connection.connect(false, connect_limit);
      if (connected.ok()) connected = co_await limit_lock_waits(reader.connection);
      if (!connected.ok()) co_return reader.failed(connected.error());
    }
    Trouble trouble;
    if (snapshot) {
      // In turn: a table that somebody holds locked must not keep the others waiting.
      auto next = context.tables_to_read.upper_bound(read_last);
      if (next == context.tables_to_read.end()) next = context.tables_to_read.begin();
      read_last = *next;
      trouble = co_await read_table(reader, read_last);
      if (trouble.kind == Kind::kNone && context.tables_to_read.empty()) context.set_mode(SourceMode::kStreaming);
    } else {
      trouble = co_await read_rows(reader, table, std::move(keys));
    }
    if (trouble.kind != Kind::kNone) co_return trouble;
  }
}

}  // namespace tributary
