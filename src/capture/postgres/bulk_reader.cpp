// Far behind the head: whole batches of transactions peeked through SQL on an ordinary connection, which costs both sides
// a fraction of a replication stream (docs/decisions, "peeking").
//
// A peek decodes again from restart_lsn every time, so a batch is at least as large as what will be decoded in vain. It
// moves the slot only to commits that are durable in the log.
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "capture/postgres/client_context.h"
#include "codec/postgres/copy_text.h"

namespace tributary {
namespace {

using Clock = PgConnection::Clock;
using Kind = Trouble::Kind;
using std::chrono::milliseconds;

constexpr milliseconds connect_limit{20'000};
constexpr milliseconds advance_limit{120'000};
constexpr milliseconds piece_limit{60'000};
constexpr int messages_a_turn = 512;
// After a peek that did not pay, or was refused, streaming gets this long.
constexpr std::chrono::seconds rest{60};

struct Slot {
  uint64_t restart_lsn = 0;
  uint64_t confirmed_lsn = 0;
  uint64_t head_lsn = 0;
};

struct Bulk {
  explicit Bulk(ClientContext& client) : context(client), connection(client.executor, *client.settings) {}
  ClientContext& context;
  PgConnection connection;

  Trouble failed(const Error& error) { return trouble_of(error, connection.sqlstate(), context.config.client.value); }
  Trouble back_to_streaming(std::string reason) {
    context.bulk_not_before = Clock::now() + rest;
    return {Kind::kSwitch, std::move(reason), ""};
  }
};

asio::awaitable<Trouble> wait_until_durable(ClientContext& context) {
  while (context.stream_bytes_in_flight > 0 || context.jobs_in_flight > 0) {
    if (context.append_error) break;
    co_await context.changed.wait(milliseconds(500));
  }
  if (context.append_error) co_return Trouble{Kind::kStop, context.append_error->to_string(), ""};
  co_return Trouble{};
}

asio::awaitable<Result<Slot>> move_slot(Bulk& bulk) {
  ClientContext& context = bulk.context;
  std::string name = quote_pg_literal(context.state.slot);
  for (int attempt = 0;; ++attempt) {
    Result<PgRows> rows = co_await bulk.connection.query(
        fmt::format("SELECT CASE WHEN confirmed_flush_lsn < {0}::pg_lsn THEN (pg_replication_slot_advance(slot_name, "
                    "{0}::pg_lsn)).end_lsn "
                    "END FROM pg_replication_slots WHERE slot_name = {1}",
                    quote_pg_literal(lsn_to_string(context.durable_confirmed_lsn)), name),
        advance_limit);
    // The stream that was just left may hold the slot for a moment.
    if (!rows.ok() && bulk.connection.sqlstate() == "55006" && attempt < 50) {
      asio::steady_timer timer(context.executor, milliseconds(100));
      co_await timer.async_wait(asio::use_awaitable);
      continue;
    }
    if (!rows.ok()) co_return rows.error();
    break;
  }
  Result<PgRows> rows = co_await bulk.connection.query(
      "SELECT restart_lsn, confirmed_flush_lsn, pg_current_wal_flush_lsn() FROM pg_replication_slots WHERE slot_name "
      "= " +
      name);
  if (!rows.ok()) co_return rows.error();
  if (rows->rows() == 0) co_return Error{ErrorCode::kNotFound, "the replication slot is gone"};
  co_return Slot{rows->lsn(0, 0), rows->lsn(0, 1), rows->lsn(0, 2)};
}

asio::awaitable<Trouble> take_peeked(Bulk& bulk) {
  ClientContext& context = bulk.context;
  PeekRowReader rows;
  int turn = 0;
  bool begun = false;
  while (true) {
    std::optional<std::string_view> message = bulk.connection.next_message();
    if (!message) {
      if (bulk.connection.copy_ended() || bulk.connection.copy_failed()) co_return Trouble{};
      // The server says nothing until it has decoded the whole batch.
      Status waited = co_await bulk.connection.wait_readable(begun ? piece_limit : context.options.bulk_silence_max);
      if (!waited.ok() && waited.error().code == ErrorCode::kTimeout && !begun) {
        bulk.connection.cancel_running();
        co_return bulk.back_to_streaming("a peek took too long, as huge transactions do");
      }
      if (!waited.ok()) co_return bulk.failed(waited.error());
      continue;
    }
    begun = true;
    Result<std::optional<PeekRowReader::Row>> row = rows.read(*message);
    if (!row.ok()) co_return bulk.failed(row.error());
    if (!*row) continue;
    Result<bool> taken = take_message(context, (*row)->lsn, (*row)->data);
    if (!taken.ok()) co_return bulk.failed(taken.error());
    if (!*taken) {
      Status settled = co_await settle_message(context, (*row)->lsn, (*row)->data);
      if (!settled.ok()) co_return bulk.failed(settled.error());
    }
    if (++turn < messages_a_turn) continue;
    turn = 0;
    if (context.should_flush(Clock::now())) context.flush();
    while (context.stream_bytes_in_flight > context.options.in_flight_bytes_max && !context.append_error) {
      co_await context.changed.wait(milliseconds(500));
    }
    if (context.append_error) co_return Trouble{Kind::kStop, context.append_error->to_string(), ""};
    co_await asio::post(context.executor, asio::use_awaitable);
  }
}

// Reads the transactions that commit before `until`. kSwitch: by streaming instead.
asio::awaitable<Trouble> peek(Bulk& bulk, const Slot& slot, uint64_t until) {
  ClientContext& context = bulk.context;
  context.assembler = context.make_assembler(slot.confirmed_lsn);
  std::vector<PgRows> rows;
  Status started = co_await bulk.connection.start_copy(
      fmt::format("COPY (SELECT lsn, data FROM pg_logical_slot_peek_binary_changes({}, {}, NULL, 'proto_version', '1', "
                  "'publication_names', {}, 'messages', 'true')) TO STDOUT (FORMAT binary)",
                  quote_pg_literal(context.state.slot), quote_pg_literal(lsn_to_string(until)),
                  quote_pg_literal(quote_pg_identifier(context.config.name))),
      rows, connect_limit);
  if (!started.ok()) co_return bulk.failed(started.error());
  Trouble taken = co_await take_peeked(bulk);
  if (taken.kind != Kind::kNone) co_return taken;
  Status finished = co_await bulk.connection.finish_copy(rows, piece_limit);
  if (!finished.ok() && bulk.connection.sqlstate().starts_with("53")) {
    co_return bulk.back_to_streaming("the server has no room for a peek: " + finished.error().message);
  }
  if (!finished.ok()) co_return bulk.failed(finished.error());
  if (context.assembler->in_transaction())
    co_return bulk.failed({ErrorCode::kCorrupt, "a peek ended inside a transaction"});
  co_return Trouble{};
}

}  // namespace

asio::awaitable<Trouble> peek_changes(ClientContext& context) {
  Bulk bulk(context);
  Status connected = co_await bulk.connection.connect(false, connect_limit);
  if (connected.ok()) connected = co_await bulk.connection.execute("SET work_mem = '64MB'");
  if (!connected.ok()) co_return bulk.failed(connected.error());
  context.spill = std::make_unique<TransactionSpill>(
      context.options.temp_directory, "spill-" + context.config.client.value, context.options.spill_memory_bytes_max);
  while (true) {
    Trouble durable = co_await wait_until_durable(context);
    if (durable.kind != Kind::kNone) co_return durable;
    Result<Slot> slot = co_await move_slot(bulk);
    if (!slot.ok()) co_return bulk.failed(slot.error());
    uint64_t begin = std::max(slot->confirmed_lsn, context.durable_confirmed_lsn);
    uint64_t backlog = slot->head_lsn > begin ? slot->head_lsn - begin : 0;
    if (backlog < context.options.bulk_backlog_bytes) co_return Trouble{Kind::kSwitch, "near the head", ""};
    uint64_t in_vain = begin - std::min(begin, slot->restart_lsn);
    if (in_vain > context.options.bulk_batch_bytes_max) {
      co_return bulk.back_to_streaming("an old open transaction makes peeking slow");
    }
    context.set_mode(context.tables_to_read.empty() ? SourceMode::kBulk : SourceMode::kSnapshot);
    uint64_t until = begin + std::max(context.options.bulk_batch_bytes, in_vain);
    Trouble peeked = co_await peek(bulk, *slot, until);
    if (peeked.kind != Kind::kNone) co_return peeked;
    // Up to `until` every record was looked at; at the head the last one may have been cut, so only commits count.
    if (until < slot->head_lsn) {
      Status sent = context.assembler->sent_until(until);
      if (!sent.ok()) co_return bulk.failed(sent.error());
    }
    context.delivered_lsn = std::max(context.delivered_lsn, context.assembler->delivered_lsn());
    if (context.assembler->delivered_lsn() <= begin)
      co_return bulk.back_to_streaming("nothing was committed in what was peeked");
    context.flush();
    context.delivered.notify();
  }
}

}  // namespace tributary
