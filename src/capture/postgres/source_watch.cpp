// What is done by timer beside the reading: lag and slot health, marks, heartbeats on idle databases, confirmation of
// what was skipped, and a look at the captured tables.
#include <boost/asio/use_awaitable.hpp>

#include "capture/postgres/client_context.h"

namespace tributary {
namespace {

using Clock = PgConnection::Clock;
using Kind = Trouble::Kind;

// The source's head as of a mark is a message of our own, so that the stream passes it whatever else happens.
asio::awaitable<Result<uint64_t>> emit_message(ClientContext& context, std::string_view what) {
  AsyncLock::Held held = co_await context.control_lock.hold();
  Result<PgRows> rows =
      co_await context.control->query(fmt::format("SELECT pg_logical_emit_message(true, 'tributary', '{}')", what));
  if (!rows.ok()) co_return rows.error();
  co_return rows->lsn(0, 0);
}

struct Watch {
  Clock::time_point health_at{};
  Clock::time_point confirm_at{};
  Clock::time_point heartbeat_at = Clock::now();
  Clock::time_point tables_at = Clock::now();
  uint64_t heartbeat_delivered = 0;
  uint64_t head = 0;
  uint64_t mark_wanted = 0;  // counts marks
  uint64_t mark_lsn = 0;
};

asio::awaitable<Trouble> check_health(ClientContext& context, Watch& watch) {
  std::optional<PgRows> row;
  {
    AsyncLock::Held held = co_await context.control_lock.hold();
    Result<PgRows> rows = co_await context.control->query(
        "SELECT pg_current_wal_insert_lsn(), restart_lsn, confirmed_flush_lsn, coalesce(wal_status, ''), "
        "pg_current_wal_insert_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = " +
        quote_pg_literal(context.state.slot));
    if (!rows.ok()) co_return trouble_of(rows.error(), context.control->sqlstate(), context.config.client.value);
    row.emplace(std::move(*rows));
  }
  if (row->rows() == 0 || row->text(0, 3) == "lost")
    co_return Trouble{Kind::kRetry, "the replication slot is gone", ""};
  watch.head = row->lsn(0, 0);
  uint64_t confirmed = context.durable_confirmed_lsn;
  uint64_t lag = watch.head > confirmed ? watch.head - confirmed : 0;
  uint64_t retained = row->number(0, 4);
  bool backlog = context.options.bulk && lag > context.options.bulk_backlog_bytes * 4;
  context.bulk_wanted = backlog && Clock::now() > context.bulk_not_before;
  uint64_t limit = context.config.retained_wal_bytes_max;
  context.slot_warning =
      limit != 0 && retained > limit
          ? fmt::format("the slot keeps {} bytes of log on the source, more than retained_wal_max {}", retained, limit)
          : std::string();
  std::lock_guard lock(context.board.mutex);
  context.board.status.lag_bytes = lag;
  context.board.status.retained_wal_bytes = retained;
  context.board.status.warnings = context.table_warnings();
  co_return Trouble{};
}

asio::awaitable<Trouble> serve_marks(ClientContext& context, Watch& watch) {
  uint64_t requested = 0;
  uint64_t reached = 0;
  {
    std::lock_guard lock(context.board.mutex);
    requested = context.board.mark_requested;
    reached = context.board.mark_reached;
  }
  if (requested != watch.mark_wanted) {
    Trouble tables = co_await context.refresh_tables();
    if (tables.kind == Kind::kLocked) co_return Trouble{};  // until all tables were seen, there is no mark
    if (tables.kind != Kind::kNone) co_return tables;
    Result<uint64_t> lsn = co_await emit_message(context, "mark");
    if (!lsn.ok()) co_return trouble_of(lsn.error(), context.control->sqlstate(), context.config.client.value);
    watch.mark_lsn = *lsn;
    watch.mark_wanted = requested;
  }
  bool durable =
      context.durable_lsn() >= watch.mark_lsn && context.tables_to_read.empty() && context.jobs_in_flight == 0;
  if (watch.mark_wanted > reached && durable) {
    std::lock_guard lock(context.board.mutex);
    context.board.mark_reached = watch.mark_wanted;
  }
  co_return Trouble{};
}

// What was delivered and needs no append (other tables' changes, an idle database) is remembered before it is confirmed.
void confirm_idle(ClientContext& context, Watch& watch, Clock::time_point now) {
  uint64_t durable = context.durable_lsn();
  if (durable <= context.state.confirmed_lsn || now < watch.confirm_at) return;
  watch.confirm_at = now + context.options.health_interval;
  context.state.confirmed_lsn = durable;
  LogAppend append{context.config.client, {}, {}};
  append.state_changes[std::string(stream_state_key)] = context.state.encode();
  context.queue_append(std::move(append), 0, &context.stream_bytes_in_flight, context.state);
}

asio::awaitable<Trouble> beat(ClientContext& context, Watch& watch, Clock::time_point now) {
  if (now - watch.heartbeat_at < context.options.heartbeat_interval) co_return Trouble{};
  watch.heartbeat_at = now;
  bool stands_still = context.delivered_lsn == watch.heartbeat_delivered && watch.head > context.delivered_lsn;
  watch.heartbeat_delivered = context.delivered_lsn;
  if (!stands_still) co_return Trouble{};
  Result<uint64_t> lsn = co_await emit_message(context, "heartbeat");
  if (!lsn.ok()) co_return trouble_of(lsn.error(), context.control->sqlstate(), context.config.client.value);
  co_return Trouble{};
}

}  // namespace

asio::awaitable<Trouble> watch_source(ClientContext& context) {
  Watch watch;
  while (true) {
    auto now = Clock::now();
    Trouble trouble;
    if (context.append_error) co_return context.append_trouble();
    if (now >= watch.health_at) {
      watch.health_at = now + context.options.health_interval;
      trouble = co_await check_health(context, watch);
      if (trouble.kind != Kind::kNone) co_return trouble;
    }
    trouble = co_await serve_marks(context, watch);
    if (trouble.kind == Kind::kNone) trouble = co_await beat(context, watch, now);
    if (trouble.kind == Kind::kNone && now - watch.tables_at > context.options.heartbeat_interval) {
      watch.tables_at = now;
      trouble = co_await context.refresh_tables();
      if (trouble.kind == Kind::kLocked) trouble = {};  // what is captured already goes on
    }
    if (trouble.kind != Kind::kNone) co_return trouble;
    confirm_idle(context, watch, now);
    bool asked = watch.mark_wanted > 0;
    asio::steady_timer timer(context.executor, std::chrono::milliseconds(asked ? 20 : 200));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

}  // namespace tributary
