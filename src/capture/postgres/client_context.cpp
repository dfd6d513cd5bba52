#include "capture/postgres/client_context.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace tributary {

void Signal::notify() {
  for (asio::steady_timer* timer : waiting_) timer->cancel();
}

asio::awaitable<void> Signal::wait(std::chrono::milliseconds limit) {
  asio::steady_timer timer(executor_, limit);
  struct Registration {
    std::set<asio::steady_timer*>& waiting;
    asio::steady_timer* timer;
    ~Registration() { waiting.erase(timer); }
  } registration{waiting_, &timer};
  waiting_.insert(&timer);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<AsyncLock::Held> AsyncLock::hold() {
  while (locked_) co_await freed_.wait(std::chrono::seconds(60));
  locked_ = true;
  co_return Held(*this);
}

std::string reset_remedy(const std::string& client_name) {
  return fmt::format(
      "Start the client afresh, which reads its tables again and holds up no other client: tributary client FILE reset "
      "{}",
      client_name);
}

Trouble pooler_trouble(const std::string& message) {
  return {Trouble::Kind::kStop, "a connection pooler answers, and none can carry replication: " + message,
          "Name the database's server itself in the source's URL. verify_source may be a pooler that pools sessions."};
}

Trouble trouble_of(const Error& error, const std::string& sqlstate, const std::string& name) {
  const std::string& text = error.message;
  auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  auto stop = [&](std::string remedy) { return Trouble{Trouble::Kind::kStop, text, std::move(remedy)}; };
  std::string reset = reset_remedy(name);
  if (error.code == ErrorCode::kNotFound) return stop(reset);
  if (has("unsupported startup parameter")) return pooler_trouble(text);  // as pgbouncer says it
  if (has("max_wal_senders"))
    return stop("Raise max_wal_senders: ALTER SYSTEM SET max_wal_senders = 20; then restart the server.");
  if (sqlstate == "53400" || has("max_replication_slots")) {
    return stop(
        "Raise max_replication_slots, or drop a slot that is not used: ALTER SYSTEM SET max_replication_slots = 20; "
        "then restart the server.");
  }
  if (has("must be superuser or replication role") || has("REPLICATION")) {
    return stop("Let our user replicate: ALTER ROLE … REPLICATION;");
  }
  if (sqlstate.starts_with("28") || has("no password supplied")) {  // the latter is libpq's own
    return stop("Check user and password of the source, and pg_hba.conf on the server.");
  }
  if (sqlstate == "3D000") return stop("Check the database's name in the source's URL.");
  if (has("does not support SSL")) {
    return {Trouble::Kind::kRetry, text,
            "Turn ssl on at the server; or, where nobody else can reach the way to it, say sslmode=disable in the "
            "source's URL."};
  }
  // A TLS connection that was cut off says SSL too: "SSL error: unexpected eof", "SSL connection has been closed".
  if (has("certificate") || (has("SSL error") && !has("unexpected eof"))) {
    return {Trouble::Kind::kRetry, text,
            "Check the server's certificate, or say sslmode and sslrootcert in the source's URL."};
  }
  if (sqlstate == "22021" || sqlstate == "22P05") {
    return {Trouble::Kind::kRetry, text,
            "A text is no valid text of the database's encoding, or has a character that UTF-8 has not: find and mend "
            "it, or take its table out of the pipeline file."};
  }
  if (sqlstate == "42501") return stop("Grant what the message names to our user.");
  if (sqlstate == "58P01" || has("can no longer get changes from replication slot") || has("requested WAL segment")) {
    return stop(reset);
  }
  if (sqlstate == "42704")
    return stop(fmt::format("Something that capture made is gone, and changes may be missing. {}", reset));
  if (error.code == ErrorCode::kCorrupt) return {Trouble::Kind::kRetry, text, ""};
  return {Trouble::Kind::kRetry, text, ""};
}

ClientContext::ClientContext(const asio::any_io_executor& loop, CaptureClient client,
                             PostgresCaptureOptions capture_options, EventLog& event_log, AppendQueue& append_queue)
    : executor(loop),
      config(std::move(client)),
      options(std::move(capture_options)),
      log(event_log),
      queue(append_queue),
      control_lock(loop),
      pace(config.rows_per_second),
      snapshot_pace(config.snapshot_rows_per_second),
      asked_again(loop),
      changed(loop),
      delivered(loop),
      work(loop) {
  for (const CapturedTable& table : config.tables) domains[split_table_name(table.table).plain()] = table.domain;
  board.status.client = config.client;
  board.status.rows_per_second_max = config.rows_per_second;
  // A peek's rows, taken slowly, would keep a transaction open on the source.
  if (config.rows_per_second != 0) options.bulk = false;
}

bool ClientContext::should_flush(PgConnection::Clock::time_point now) {
  if (assembler->facts().empty()) return false;
  if (!oldest_fact_) oldest_fact_ = now;
  if (assembler->facts().bytes() >= options.batch_bytes_max ||
      assembler->facts().facts() >= pace.rows_at_once(options.batch_facts_max))
    return true;
  return !assembler->in_transaction() && now - *oldest_fact_ >= options.flush_interval;
}

std::unique_ptr<ChangeAssembler> ClientContext::make_assembler(uint64_t slot_lsn) {
  ChangeAssembler::Start start{.epoch = state.epoch,
                               .appended = state.appended,
                               .appended_commit_micros = state.appended_commit_micros,
                               .delivered_lsn = delivered_lsn,
                               .slot_lsn = slot_lsn};
  auto made = std::make_unique<ChangeAssembler>(config.client, start, *spill, visibility, server_text);
  made->note_names(named);
  return made;
}

void ClientContext::flush() {
  LogAppend append{config.client, assembler->facts().take(), {}};
  oldest_fact_.reset();
  size_t bytes = 0;
  size_t events = 0;
  for (const EventBatch& batch : append.batches) {
    bytes += batch.value_bytes();
    events += batch.rows() + batch.ranges.size();
  }
  pace.count(events, PgConnection::Clock::now());
  state.appended = assembler->covered();
  state.appended_commit_micros = assembler->covered_commit_micros();
  if (!assembler->in_transaction()) state.confirmed_lsn = std::max(state.confirmed_lsn, assembler->delivered_lsn());
  append.state_changes[std::string(stream_state_key)] = state.encode();
  {
    std::lock_guard lock(board.mutex);
    board.status.events_captured += events;
    board.status.bytes_captured += bytes;
    if (assembler->last_commit_micros() != 0) board.status.last_commit_micros = assembler->last_commit_micros();
  }
  queue_append(std::move(append), bytes, &stream_bytes_in_flight, state);
}

void ClientContext::append_rows(std::vector<EventBatch> batches, size_t bytes, const std::string& table,
                                const SnapshotState& progress) {
  LogAppend append{config.client, std::move(batches), {}};
  append.state_changes[snapshot_state_key(table)] = progress.encode();
  snapshots[table] = progress;
  size_t events = 0;
  for (const EventBatch& batch : append.batches) events += batch.rows() + batch.ranges.size();
  pace.count(events, PgConnection::Clock::now());
  snapshot_pace.count(events, PgConnection::Clock::now());
  {
    std::lock_guard lock(board.mutex);
    board.status.events_captured += events;
    board.status.bytes_captured += bytes;
  }
  queue_append(std::move(append), bytes, &table_bytes_in_flight, std::nullopt);
}

asio::awaitable<Status> ClientContext::wait_for_room(const size_t& budget) {
  while (true) {
    if (append_error) co_return *append_error;
    auto held = std::chrono::ceil<std::chrono::milliseconds>(pace.wait_from(PgConnection::Clock::now()));
    {
      std::lock_guard lock(board.mutex);
      board.status.held = held.count() > 0;
    }
    if (held.count() <= 0 && budget <= options.in_flight_bytes_max) co_return Status();
    std::chrono::milliseconds longest{1000};
    co_await changed.wait(held.count() > 0 ? std::min(held, longest) : longest);
  }
}

void ClientContext::queue_append(LogAppend append, size_t bytes, size_t* budget,
                                 const std::optional<StreamState>& reached) {
  *budget += bytes;
  ++jobs_in_flight;
  if (reached) ++stream_jobs_in_flight;
  auto settled = [self = shared_from_this(), bytes, budget, reached](const Status& status) {
    asio::post(self->executor, [self, bytes, budget, reached, status] {
      *budget -= bytes;
      --self->jobs_in_flight;
      if (reached) --self->stream_jobs_in_flight;
      if (!status.ok() && !self->append_error) self->append_error = status.error();
      if (status.ok() && reached) {
        self->durable_confirmed_lsn = std::max(self->durable_confirmed_lsn, reached->confirmed_lsn);
        std::lock_guard lock(self->board.mutex);
        self->board.status.durable = std::max(self->board.status.durable, reached->appended);
      }
      self->changed.notify();
    });
  };
  queue.add({std::move(append), bytes, appends_broken, std::move(settled)});
}

Trouble ClientContext::append_trouble() const {
  if (!append_error) return {};
  ErrorCode code = append_error->code;
  bool may_be_mended =
      code == ErrorCode::kInvalidInput || code == ErrorCode::kPermissionDenied || code == ErrorCode::kAlreadyExists;
  return {may_be_mended ? Trouble::Kind::kRetry : Trouble::Kind::kStop, append_error->to_string(), ""};
}

uint64_t ClientContext::durable_lsn() const {
  bool idle = jobs_in_flight == 0 && assembler != nullptr && assembler->facts().empty() && !assembler->in_transaction();
  return idle ? std::max(delivered_lsn, durable_confirmed_lsn) : durable_confirmed_lsn;
}

asio::awaitable<Result<SchemaPtr>> ClientContext::register_schema(TableSchema schema) {
  std::function<Result<SchemaPtr>()> work = [this, schema = std::move(schema)] {
    return log.register_schema(config.client, schema);
  };
  co_return co_await on_queue<Result<SchemaPtr>>(std::move(work));
}

void ClientContext::forget_snapshot(const std::string& table) {
  ++times_forgotten[table];
  if (snapshots.erase(table) == 0) return;
  LogAppend append{config.client, {}, {}};
  append.state_changes[snapshot_state_key(table)] = "";
  queue_append(std::move(append), 0, &table_bytes_in_flight, std::nullopt);
}

void ClientContext::read_when_delivered(const std::string& table) {
  bool& worthless = to_read_when_delivered[table];
  // Pieces of the transaction are durable before it ends, and are not told again: after a crash the table must be known to want reading.
  if (!std::exchange(worthless, true)) forget_snapshot(table);
}

namespace {

// Whether changes of a partition, which has an identity of its own, say all of its table's row key.
bool names_rows(const ToldPartition& partition, const TableSchema& table) {
  return partition.replica_identity == 'f' || std::ranges::all_of(table.key_columns, [&](uint32_t index) {
           return std::ranges::find(partition.key, table.columns[index].name) != partition.key.end();
         });
}

}  // namespace

// Of one that was made as a partition of the table every row was told of; another brought rows that were not. Both are known from
// now on, also after a crash: a partition that goes takes its rows along untold.
void ClientContext::add_partitions(const std::string& table, const std::vector<CatalogRelation>& partitions) {
  SnapshotState& snapshot = snapshots.at(table);
  std::vector<SnapshotRelation> to_read;
  for (const CatalogRelation& partition : partitions) {
    bool read = snapshot.done && partition.made_here;
    (read ? snapshot.relations : to_read).push_back(partition.relation);
  }
  if (snapshot.done) snapshot.next_relation = static_cast<uint32_t>(snapshot.relations.size());
  snapshot.relations.insert(snapshot.relations.end(), to_read.begin(), to_read.end());
  if (!to_read.empty()) {
    snapshot.done = false;
    tables_to_read.insert(table);
    work.notify();
  }
  LogAppend append{config.client, {}, {}};
  append.state_changes[snapshot_state_key(table)] = snapshot.encode();
  queue_append(std::move(append), 0, &table_bytes_in_flight, std::nullopt);
}

// Changes are in `partitions` of a table, which may be partitions of it no more, or of no captured table before we look. One that
// was changed before it became what it is now may have lost rows untold in between. In the transaction by which it became that, only
// the catalog says whether it was made so: then all was told.
asio::awaitable<Status> ClientContext::note_partitions(std::string table, uint32_t oid,
                                                       std::vector<ToldPartition> partitions) {
  auto age = [](const ToldPartition& told, const SnapshotRelation& now) {
    return now.came == 0 ? 1 : static_cast<int32_t>(told.transaction - now.came);
  };
  bool lost = false;
  auto take_known = [&] {
    auto read = snapshots.find(table);
    if (read == snapshots.end()) return;
    for (const SnapshotRelation& known : read->second.relations) {
      std::erase_if(partitions, [&](const ToldPartition& told) {
        if (told.oid != known.oid || age(told, known) == 0) return false;
        lost = lost || age(told, known) < 0;
        return true;
      });
    }
  };
  take_known();
  if (lost) read_when_delivered(table);
  if (lost || partitions.empty()) co_return Status();
  Result<std::vector<CatalogRelation>> now = std::vector<CatalogRelation>();
  {
    AsyncLock::Held held = co_await control_lock.hold();
    now = co_await find_relations(*control, oid);
  }
  if (!now.ok()) co_return now.error();
  take_known();
  if (!snapshots.contains(table)) {
    ++times_forgotten[table];  // a reading that has no chunk yet has them in no list that lasts
    co_return Status();
  }
  std::vector<CatalogRelation> came;
  for (CatalogRelation& relation : *now) {
    size_t told = std::erase_if(partitions, [&](const ToldPartition& partition) {
      return partition.oid == relation.relation.oid &&
             age(partition, relation.relation) >= (relation.made_here ? 0 : 1);
    });
    if (told > 0 && !is_of(snapshots.at(table), relation.relation.oid)) came.push_back(std::move(relation));
  }
  lost = lost || !partitions.empty() || !std::ranges::all_of(came, &CatalogRelation::untouched);
  if (lost) {
    read_when_delivered(table);
  } else if (!came.empty()) {
    add_partitions(table, came);
  }
  co_return Status();
}

asio::awaitable<Result<std::optional<TableTarget>>> ClientContext::resolve(PgRelation relation,
                                                                           std::vector<ToldPartition> partitions) {
  std::string table = TableName{relation.schema, relation.name}.plain();
  auto domain = domains.find(table);
  // A captured table under another's name for a while: what is told of it now is not captured, or taken for the other's. And one
  // that is another's partition for a while: its changes are told as that one's.
  std::vector<std::string> told_of_others;
  for (const auto& [captured, snapshot] : snapshots) {
    bool another = captured == table ? snapshot.table_oid != relation.oid : is_of(snapshot, relation.oid);
    bool guest = captured != table && std::ranges::any_of(partitions, [&](const ToldPartition& partition) {
                   return is_of(snapshot, partition.oid);
                 });
    if (another || guest) told_of_others.push_back(captured);
  }
  for (const std::string& captured : told_of_others) read_when_delivered(captured);
  if (domain == domains.end()) co_return std::optional<TableTarget>();
  std::optional<CatalogTable> now;
  std::map<TypeKey, CatalogType> types;
  {
    AsyncLock::Held held = co_await control_lock.hold();
    Result<std::optional<CatalogTable>> found = co_await find_table(*control, relation.oid);
    if (!found.ok()) co_return found.error();
    now = std::move(*found);
    Result<std::map<TypeKey, CatalogType>> described =
        co_await find_types(*control, unknown_types(relation, now ? &*now : nullptr));
    if (!described.ok()) co_return described.error();
    types = std::move(*described);
  }
  std::function<Result<std::vector<SchemaPtr>>()> ask = [this] { return log.newest_schemas(config.client); };
  Status noted = co_await note_partitions(table, relation.oid, partitions);
  if (!noted.ok()) co_return noted.error();
  Result<std::vector<SchemaPtr>> known = co_await on_queue<Result<std::vector<SchemaPtr>>>(std::move(ask));
  if (!known.ok()) co_return known.error();
  const TableSchema* before = nullptr;
  for (const SchemaPtr& schema : *known) {
    if (schema->table == table) before = schema.get();
  }
  TableSchema schema = schema_of(relation, now ? &*now : nullptr, before, types);
  if (schema.key_columns.empty() || relation.replica_identity == 'n') {
    // As of these changes it had no key. If it has one by now, it is read afresh.
    forget_snapshot(table);
    std::string why = now ? now->refusal() : std::string();
    if (why.empty()) {
      tables_to_read.insert(table);
      work.notify();
    } else {
      set_aside[table] = why;
      show_tables();
    }
    co_return std::optional<TableTarget>();
  }
  for (const ToldPartition& partition : partitions) {
    if (!names_rows(partition, schema)) read_when_delivered(table);
  }
  if (now && now->name.plain() == table) {
    auto read = snapshots.find(table);
    bool is_read = read != snapshots.end();
    // What is back looks untouched in the catalog, and meanwhile changes told of their rows under other keys, names or types.
    bool told_otherwise =
        names_differ(relation, *now) || types_differ(relation, *now) || (is_read && keys_differ(schema, read->second));
    if (told_otherwise) {
      read_when_delivered(table);
    } else if (is_read && !reread_reason(read->second, *now).empty()) {
      to_read_when_delivered.try_emplace(table, false);  // as the next session's look would find, too
    }
  }
  if (before != nullptr && before->same_content(schema)) {
    for (const SchemaPtr& newest : *known) {
      if (newest.get() == before) co_return TableTarget{newest, domain->second};
    }
  }
  Result<SchemaPtr> registered = co_await register_schema(std::move(schema));
  if (!registered.ok()) co_return registered.error();
  co_return TableTarget{*registered, domain->second};
}

void ClientContext::forget_misnamed() {
  ChangeAssembler::Misnamed misnamed = assembler->take_misnamed();
  for (const std::string& table : misnamed.tables) {
    auto read = snapshots.find(table);
    bool since = read != snapshots.end() && read->second.first.commit >= misnamed.lsn;
    if (!domains.contains(table) || since) continue;
    forget_snapshot(table);
    tables_to_read.insert(table);
    work.notify();
  }
}

void ClientContext::note_delivered() {
  delivered_lsn = std::max(delivered_lsn, assembler->delivered_lsn());
  if (assembler->has_misnamed()) forget_misnamed();
  if (to_read_when_delivered.empty() || assembler->in_transaction() || assembler->replaying()) return;
  for (const auto& [table, worthless] : to_read_when_delivered) {
    if (worthless) forget_snapshot(table);  // a reading that began meanwhile
    tables_to_read.insert(table);
  }
  to_read_when_delivered.clear();
  work.notify();
}

Result<bool> take_message(ClientContext& context, uint64_t lsn, std::string_view bytes) {
  ChangeAssembler& assembler = *context.assembler;
  ASSIGN_OR_RETURN(ChangeAssembler::Step step, assembler.apply(lsn, bytes));
  context.message_applied = step == ChangeAssembler::Step::kDone;
  context.note_delivered();
  return context.message_applied && !assembler.replaying();
}

asio::awaitable<Status> settle_message(ClientContext& context, uint64_t lsn, std::string_view bytes) {
  ChangeAssembler& assembler = *context.assembler;
  while (!context.message_applied || assembler.replaying()) {
    Result<ChangeAssembler::Step> step = context.message_applied ? assembler.replay() : assembler.apply(lsn, bytes);
    if (!step.ok()) co_return step.error();
    if (*step == ChangeAssembler::Step::kNeedsTable) {
      Result<std::optional<TableTarget>> target =
          co_await context.resolve(assembler.needed(), assembler.needed_partitions());
      if (!target.ok()) co_return target.error();
      assembler.resolve(std::move(*target));
      continue;
    }
    context.message_applied = true;
    if (!assembler.replaying()) break;
    // Large transactions go on in pieces, as fast as the log takes them, and other clients have their turn between.
    if (context.should_flush(PgConnection::Clock::now())) context.flush();
    Status room = co_await context.wait_for_room(context.stream_bytes_in_flight);
    if (!room.ok()) co_return room;
    co_await asio::post(context.executor, asio::use_awaitable);
  }
  context.note_delivered();
  co_return Status();
}

asio::awaitable<std::string> oldest_transaction(PgConnection& connection) {
  Result<PgRows> rows = co_await connection.query(
      "SELECT format('process %s (user %s, application %s, state %s, since %s)', pid, usename, "
      "coalesce(nullif(application_name, ''), '?'), coalesce(state, '?'), coalesce(xact_start::text, '?')) "
      "FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() "
      "UNION ALL SELECT format('prepared transaction %L (user %s, since %s)', gid, owner, prepared) FROM "
      "pg_prepared_xacts "
      "LIMIT 1");
  if (!rows.ok() || rows->rows() == 0) co_return "an open transaction";
  co_return rows->text(0, 0);
}

void ClientContext::set_mode(SourceMode mode, std::string reason, std::string remedy) {
  std::lock_guard lock(board.mutex);
  board.status.mode = mode;
  board.status.reason = settings ? settings->scrubbed(std::move(reason)) : std::move(reason);
  board.status.remedy = std::move(remedy);
  board.stopped = mode == SourceMode::kStopped || mode == SourceMode::kStandby;
}

std::vector<std::string> ClientContext::table_warnings() const {
  std::vector<std::string> warnings;
  warnings.reserve(set_aside.size() + locked.size() + 1);
  for (const auto& [table, why] : set_aside) warnings.push_back(why);
  for (const auto& [table, holder] : locked) {
    std::string doing = table.empty() ? "looking at the tables" : "reading " + table;
    warnings.push_back(fmt::format("{} waits for {}", doing, holder));
  }
  if (!slot_warning.empty()) warnings.push_back(slot_warning);
  return warnings;
}

void ClientContext::show_tables() {
  std::lock_guard lock(board.mutex);
  board.status.warnings = table_warnings();
}

}  // namespace tributary
