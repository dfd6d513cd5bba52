// From a connection to a source that may be read: what the server is, whose lease it is, publication, slot, epoch.
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "capture/postgres/lock_wait.h"
#include "capture/postgres/server_check.h"
#include "capture/postgres/server_encoding.h"

namespace tributary {
namespace {

using Kind = Trouble::Kind;
constexpr std::chrono::milliseconds connect_limit{20'000};
// A slot is made once every transaction that was running has ended.
constexpr std::chrono::hours slot_limit{24 * 7};
constexpr std::chrono::seconds slot_free_limit{5};

Trouble stop(std::string reason, std::string remedy) { return {Kind::kStop, std::move(reason), std::move(remedy)}; }

std::string reset_remedy(const ClientContext& context) { return tributary::reset_remedy(context.config.client.value); }

Trouble failed(const ClientContext& context, const Error& error, const PgConnection& connection) {
  return trouble_of(error, connection.sqlstate(), context.config.client.value);
}

// After identify_source(): a pooler would give the session, and the lock with it, to others.
asio::awaitable<Trouble> take_lease(ClientContext& context) {
  if (context.lease != nullptr) co_return Trouble{};
  PgConnection& control = *context.control;
  Result<PgRows> rows = co_await control.query(try_lease_sql(context.config.name));
  if (!rows.ok()) co_return failed(context, rows.error(), control);
  if (!rows->is_true(0, 0)) {
    co_return Trouble{Kind::kRetry, "another process holds the lease on this source (an advisory lock)",
                      "Stop the other one, or wait until its connection has ended."};
  }
  co_return Trouble{};
}

// What was read for another domain, or of a table that is in none, misses what comes from now on, also if it is back one day.
void forget_others(ClientContext& context) {
  LogAppend append{context.config.client, {}, {}};
  for (auto at = context.snapshots.begin(); at != context.snapshots.end();) {
    auto& [table, snapshot] = *at;
    auto domain = context.domains.find(table);
    bool ours = domain != context.domains.end() && (snapshot.domain.empty() || snapshot.domain == domain->second);
    if (!ours) {
      append.state_changes[snapshot_state_key(table)] = "";
      at = context.snapshots.erase(at);
      continue;
    }
    if (snapshot.domain.empty()) {
      snapshot.domain = domain->second;
      append.state_changes[snapshot_state_key(table)] = snapshot.encode();
    }
    ++at;
  }
  if (!append.state_changes.empty())
    context.queue_append(std::move(append), 0, &context.table_bytes_in_flight, std::nullopt);
}

asio::awaitable<Trouble> load_state(ClientContext& context, bool& known) {
  std::function<Result<SourceState>()> ask = [&context] { return context.log.source_state(context.config.client); };
  Result<SourceState> stored = co_await context.on_queue<Result<SourceState>>(std::move(ask));
  if (!stored.ok()) co_return Trouble{Kind::kRetry, stored.error().to_string(), ""};
  context.snapshots.clear();
  known = false;
  context.takes_over = context.tables_taken_over = false;
  uint32_t of_connector = source_epoch(*stored, debezium_state_key);
  for (const auto& [key, value] : *stored) {
    if (key == reset_state_key) context.reset_wanted = true;
    if (key == stream_state_key) {
      Result<StreamState> state = StreamState::decode(value);
      if (!state.ok()) co_return stop(state.error().message, reset_remedy(context));
      context.state = *state;
      known = true;
    }
    if (key.starts_with("snapshot/")) {
      Result<SnapshotState> state = SnapshotState::decode(value);
      if (!state.ok()) co_return stop(state.error().message, reset_remedy(context));
      context.snapshots[key.substr(9)] = *state;
    }
  }
  forget_others(context);
  if (of_connector > context.state.epoch) {
    // It was read from a connector's topics meanwhile: what is known of its slot and tables is from before that.
    context.state.epoch = of_connector;
    context.snapshots.clear();
    context.takes_over = !context.reset_wanted;
    known = false;
  }
  co_return Trouble{};
}

asio::awaitable<Trouble> ensure_publication(ClientContext& context, bool known) {
  PgConnection& control = *context.control;
  Result<std::optional<Publication>> found = co_await find_publication(context);
  if (!found.ok()) co_return failed(context, found.error(), control);
  std::string quoted = quote_pg_identifier(context.config.name);
  if (!*found) {
    if (known && !context.reset_wanted) {
      co_return stop(
          fmt::format("publication {} is gone, and changes made since are not to be had", context.config.name),
          reset_remedy(context));
    }
    Status made =
        co_await control.execute(fmt::format("CREATE PUBLICATION {} WITH (publish_via_partition_root = true)", quoted));
    if (!made.ok()) {
      Trouble trouble = failed(context, made.error(), control);
      if (control.sqlstate() == "25006") trouble.kind = Kind::kStop;  // default_transaction_read_only
      if (trouble.kind == Kind::kStop) {
        std::vector<std::string> tables;
        for (const auto& [table, domain] : context.domains) tables.push_back(table);
        trouble.remedy = create_publication_remedy(context.config.name, tables);
      }
      co_return trouble;
    }
    context.state.publication_ours = true;
    co_return Trouble{};
  }
  co_return (*found)->whole ? Trouble{} : narrowed_publication(context);
}

// While the slot is made on a connection of its own. A question under way on the control connection is never left there:
// the next one would meet it.
struct SlotMaking {
  asio::steady_timer pause;
  bool done = false;
};

asio::awaitable<void> report_slot_wait(ClientContext& context, SlotMaking& making) {
  while (!making.done) {
    making.pause.expires_after(std::chrono::seconds(2));
    boost::system::error_code ended;
    co_await making.pause.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    if (making.done) co_return;
    std::string blocker = co_await oldest_transaction(*context.control);
    if (making.done) co_return;
    context.set_mode(SourceMode::kConnecting, fmt::format("making the replication slot waits for {}", blocker),
                     "End that transaction, or wait until it ends.");
  }
}

asio::awaitable<Trouble> make_slot(ClientContext& context) {
  PgConnection connection(context.executor, *context.settings);
  Status connected = co_await connection.connect(false, connect_limit);
  if (!connected.ok()) co_return failed(context, connected.error(), connection);
  Result<PgRows> rows =
      co_await connection.query(fmt::format("SELECT lsn FROM pg_create_logical_replication_slot({}, 'pgoutput')",
                                            quote_pg_literal(context.config.name)),
                                slot_limit);
  if (!rows.ok()) co_return failed(context, rows.error(), connection);
  co_return Trouble{};
}

struct Slot {
  bool exists = false;
  std::string plugin;
  bool other_database = false;
  std::string user;  // the process that reads it now, or empty
  std::string wal_status;
  uint64_t confirmed_lsn = 0;
  uint64_t head_lsn = 0;  // where the server's log ends
};

asio::awaitable<Trouble> find_slot(ClientContext& context, Slot& slot) {
  Result<PgRows> rows = co_await context.control->query(
      "SELECT plugin, database IS DISTINCT FROM current_database(), coalesce(active_pid::text, ''), "
      "coalesce(wal_status, ''), confirmed_flush_lsn, pg_current_wal_flush_lsn() "
      "FROM pg_replication_slots WHERE slot_name = " +
      quote_pg_literal(context.config.name));
  if (!rows.ok()) co_return failed(context, rows.error(), *context.control);
  slot = {};
  if (rows->rows() == 0) co_return Trouble{};
  slot = {.exists = true,
          .plugin = rows->text(0, 0),
          .other_database = rows->is_true(0, 1),
          .user = rows->text(0, 2),
          .wal_status = rows->text(0, 3),
          .confirmed_lsn = rows->lsn(0, 4),
          .head_lsn = rows->lsn(0, 5)};
  co_return Trouble{};
}

// A slot that nobody reads, so that its position stands still: the server notices only after a while that our last
// connection has ended.
asio::awaitable<Trouble> find_free_slot(ClientContext& context, Slot& slot) {
  auto until = PgConnection::Clock::now() + slot_free_limit;
  while (true) {
    Trouble trouble = co_await find_slot(context, slot);
    if (trouble.kind != Kind::kNone || slot.user.empty()) co_return trouble;
    // With the lease in our hands, who still reads is a node that lost it and has not noticed.
    if (context.lease != nullptr) {
      (void)co_await context.control->execute(fmt::format("SELECT pg_terminate_backend({})", slot.user));
    }
    if (PgConnection::Clock::now() > until) {
      co_return Trouble{
          Kind::kRetry,
          fmt::format("process {} of the server reads replication slot {}", slot.user, context.config.name),
          "Where that is not a connection of ours that just ended, end it."};
    }
    asio::steady_timer timer(context.executor, std::chrono::milliseconds(100));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

asio::awaitable<Trouble> make_slot_and_report(ClientContext& context, Slot& slot) {
  using asio::experimental::awaitable_operators::operator&&;
  SlotMaking making{asio::steady_timer(context.executor)};
  auto make = [&]() -> asio::awaitable<Trouble> {
    Trouble trouble = co_await make_slot(context);
    making.done = true;
    making.pause.cancel();
    co_return trouble;
  };
  Trouble trouble = co_await (make() && report_slot_wait(context, making));
  if (trouble.kind != Kind::kNone) co_return trouble;
  context.set_mode(SourceMode::kConnecting);
  co_return co_await find_slot(context, slot);
}

// A source that was read before is the same one, and nothing is missing: nullopt.
std::optional<Trouble> why_not_resume(const ClientContext& context, const SourceIdentity& identity, const Slot& slot) {
  const StreamState& state = context.state;
  if (state.system_identifier != identity.system) {
    return stop(fmt::format("the database is another one: its system identifier is {}, and was {}", identity.system,
                            state.system_identifier),
                reset_remedy(context));
  }
  if (state.timeline != identity.timeline) {
    return stop(
        fmt::format(
            "the server's timeline is {}, and was {}: it failed over or was restored, and changes may be missing",
            identity.timeline, state.timeline),
        reset_remedy(context));
  }
  if (!slot.exists) {
    return stop(fmt::format("replication slot {} is missing: changes since {} are not to be had", state.slot,
                            lsn_to_string(state.confirmed_lsn)),
                reset_remedy(context));
  }
  if (slot.confirmed_lsn > state.confirmed_lsn) {
    return stop(
        fmt::format("replication slot {} is at {}, ahead of what is in the log ({}): somebody else moved it, or "
                    "the data directory is an older copy",
                    state.slot, lsn_to_string(slot.confirmed_lsn), lsn_to_string(state.confirmed_lsn)),
        reset_remedy(context));
  }
  uint64_t read_lsn = std::max(state.confirmed_lsn, state.appended.commit);
  if (slot.head_lsn < read_lsn) {
    return stop(
        fmt::format("the server's log ends at {}, before {}, up to which it was read: the database was restored "
                    "to an earlier state",
                    lsn_to_string(slot.head_lsn), lsn_to_string(read_lsn)),
        reset_remedy(context));
  }
  // A slot never falls behind where it was made, not even by a crash.
  if (state.appended_commit_micros == 0 && slot.confirmed_lsn < state.appended.commit) {
    return stop(
        fmt::format("replication slot {} is at {}, before {}, where we made it: the database was restored to an "
                    "earlier state",
                    state.slot, lsn_to_string(slot.confirmed_lsn), lsn_to_string(state.appended.commit)),
        reset_remedy(context));
  }
  return std::nullopt;
}

std::optional<Trouble> why_not_this_slot(const ClientContext& context, const Slot& slot) {
  if (!slot.exists) return std::nullopt;
  if (slot.plugin != "pgoutput" || slot.other_database) {
    return stop(fmt::format("replication slot {} is of another plugin or database", context.config.name),
                "Drop it, or choose another pipeline or client name.");
  }
  if (slot.wal_status == "lost") {
    return stop(fmt::format("replication slot {} was invalidated: the server removed the log that it needs",
                            context.config.name),
                fmt::format("Raise max_slot_wal_keep_size. {}", reset_remedy(context)));
  }
  return std::nullopt;
}

asio::awaitable<Trouble> look_at_tables(ClientContext& context) {
  while (true) {
    Trouble trouble = co_await context.refresh_tables();
    if (trouble.kind != Kind::kLocked) co_return trouble;
    context.set_mode(SourceMode::kConnecting, trouble.reason, trouble.remedy);
  }
}

asio::awaitable<Trouble> begin_epoch(ClientContext& context, const SourceIdentity& identity, Slot& slot) {
  if (slot.exists && context.reset_wanted) {
    Status dropped = co_await context.control->execute(
        fmt::format("SELECT pg_drop_replication_slot({})", quote_pg_literal(context.config.name)));
    if (!dropped.ok()) co_return failed(context, dropped.error(), *context.control);
    slot.exists = false;
  }
  if (!slot.exists && context.takes_over) {
    co_return stop(
        fmt::format("it was read from a connector's topics until now, and there is no slot {} at the connector's "
                    "place",
                    context.config.name),
        fmt::format("SELECT pg_copy_logical_replication_slot('SLOT_OF_THE_CONNECTOR', {}) takes over without a gap "
                    "(docs/migrate-from-debezium.md). {}",
                    quote_pg_literal(context.config.name), reset_remedy(context)));
  }
  if (!slot.exists) {
    Trouble made = co_await make_slot_and_report(context, slot);
    if (made.kind != Kind::kNone) co_return made;
    if (!slot.exists) co_return Trouble{Kind::kRetry, "the replication slot vanished while it was made", ""};
  }
  LogAppend append{context.config.client, {}, {}};
  for (const auto& [table, snapshot] : context.snapshots) append.state_changes[snapshot_state_key(table)] = "";
  append.state_changes[std::string(reset_state_key)] = "";
  context.snapshots.clear();
  StreamState& state = context.state;
  state.epoch += 1;
  state.system_identifier = identity.system;
  state.timeline = identity.timeline;
  state.slot = context.config.name;
  state.confirmed_lsn = slot.confirmed_lsn;
  state.appended = Position::before_commit(state.epoch, slot.confirmed_lsn);
  state.appended_commit_micros = 0;
  append.state_changes[std::string(stream_state_key)] = state.encode();
  context.queue_append(std::move(append), 0, &context.stream_bytes_in_flight, state);
  while (context.jobs_in_flight > 0 && !context.append_error) co_await context.changed.wait(std::chrono::seconds(60));
  if (context.append_error) co_return context.append_trouble();
  context.reset_wanted = false;
  context.tables_taken_over = std::exchange(context.takes_over, false);
  co_return Trouble{};
}

}  // namespace

asio::awaitable<Trouble> prepare_source(ClientContext& context) {
  context.locked.clear();
  context.control = std::make_unique<PgConnection>(context.executor, *context.settings);
  Status connected = co_await context.control->connect(false, connect_limit);
  if (!connected.ok()) co_return failed(context, connected.error(), *context.control);
  connected = co_await limit_lock_waits(*context.control);
  if (!connected.ok()) co_return failed(context, connected.error(), *context.control);
  Result<ServerText> text = co_await find_server_text(*context.control);
  if (!text.ok()) co_return failed(context, text.error(), *context.control);
  context.server_text = std::move(*text);
  bool known = false;
  const std::string& client = context.config.client.value;
  SourceIdentity identity;
  Slot slot;
  Trouble trouble = co_await check_server(*context.control, client);
  if (trouble.kind == Kind::kNone) {
    trouble = co_await identify_source(context.executor, *context.settings, client, connect_limit, identity);
  }
  if (trouble.kind == Kind::kNone) trouble = co_await take_lease(context);
  if (trouble.kind == Kind::kNone) trouble = co_await load_state(context, known);
  if (trouble.kind == Kind::kNone) trouble = co_await find_free_slot(context, slot);
  if (trouble.kind != Kind::kNone) co_return trouble;
  if (known && !context.reset_wanted) {
    if (auto refused = why_not_this_slot(context, slot)) co_return *refused;
    if (auto refused = why_not_resume(context, identity, slot)) co_return *refused;
  }
  trouble = co_await ensure_publication(context, known);
  if (trouble.kind != Kind::kNone) co_return trouble;
  if (!known || context.reset_wanted) {
    // The publication gets its tables first: one that is added later does not exist for changes decoded before.
    trouble = co_await look_at_tables(context);
    if (trouble.kind != Kind::kNone) co_return trouble;
    if (!context.reset_wanted) {
      if (auto refused = why_not_this_slot(context, slot)) co_return *refused;
    }
    trouble = co_await begin_epoch(context, identity, slot);
    if (trouble.kind != Kind::kNone) co_return trouble;
  }
  // A slot that stands before what we confirmed lost that in a crash of the server, or was restored with it. Reading on
  // from where it stands is right after a crash, and shows whether the history is still the same (change_assembler.h).
  context.state.confirmed_lsn = std::min(context.state.confirmed_lsn, slot.confirmed_lsn);
  // What an earlier session received and did not append is received again.
  context.durable_confirmed_lsn = context.delivered_lsn = context.state.confirmed_lsn;
  {
    std::lock_guard lock(context.board.mutex);
    context.board.status.durable = context.state.appended;
  }
  context.visibility = Visibility();
  trouble = co_await look_at_tables(context);
  context.tables_taken_over = false;
  co_return trouble;
}

}  // namespace tributary
