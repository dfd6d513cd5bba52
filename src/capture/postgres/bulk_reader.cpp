// Far behind the head: whole batches of transactions peeked through SQL on ordinary connections, which costs both sides a
// fraction of a replication stream (docs/decisions, "peeking").
//
// A peek says nothing until the server has decoded its whole batch. So two readers take turns: while one's rows are
// taken, the other's batch is decoded. Each peeks through a temporary copy of the slot, which it moves over what the other
// one reads: that confirms nothing, since the slot itself still holds log and catalog. It is moved only to commits that are
// durable in our log, at the end of a round of batches.
//
// A peek decodes again from restart_lsn every time, so a batch is at least as large as what will be decoded in vain.
#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "capture/postgres/client_context.h"
#include "capture/postgres/server_encoding.h"
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
// More readers would only take more of the server: two keep it and us busy.
constexpr size_t readers_max = 2;
// The slot holds this much log, and what may be decoded in vain, before it is moved.
constexpr uint64_t round_bytes_max = uint64_t{1} << 30;
// After a peek that did not pay, or was refused, streaming gets this long.
constexpr std::chrono::seconds rest{60};

struct Slot {
  uint64_t restart_lsn = 0;
  uint64_t confirmed_lsn = 0;
  uint64_t head_lsn = 0;
};

// The transactions whose commit record begins in [begin, until).
struct Batch {
  uint64_t number = 0;
  uint64_t begin = 0;
  uint64_t until = 0;
};

// Reads batches with a slot of its own.
struct Reader {
  explicit Reader(ClientContext& client) : connection(client.executor, *client.settings) {}
  PgConnection connection;
  std::string slot;
};

struct Bulk {
  explicit Bulk(ClientContext& client)
      : context(client), connection(client.executor, *client.settings), changed(client.executor) {}
  ClientContext& context;
  PgConnection connection;  // moves the slot

  // Of the round. Batches are given out in the order of the log, and their rows taken in that order.
  uint64_t begin_lsn = 0;
  uint64_t head_lsn = 0;
  uint64_t next_lsn = 0;  // the next batch begins here
  uint64_t restart_lsn = 0;  // the newest one known of any of the slots
  uint64_t given = 0;
  uint64_t taken = 0;
  bool all_given = false;
  size_t readers = 0;  // that have, or may still get, a slot
  Signal changed;

  void begin_round(const Slot& slot, uint64_t begin) {
    begin_lsn = next_lsn = begin;
    head_lsn = slot.head_lsn;
    restart_lsn = slot.restart_lsn;
    given = taken = 0;
    all_given = false;
    readers = readers_max;
  }
  Trouble failed(const PgConnection& on, const Error& error) {
    return trouble_of(error, on.sqlstate(), context.config.client.value);
  }
  Trouble back_to_streaming(std::string reason) {
    context.bulk_not_before = Clock::now() + rest;
    return {Kind::kSwitch, std::move(reason), ""};
  }
  std::optional<Batch> next_batch();
};

std::optional<Batch> Bulk::next_batch() {
  const PostgresCaptureOptions& options = context.options;
  uint64_t in_vain = next_lsn - std::min(next_lsn, restart_lsn);
  all_given = all_given || next_lsn >= head_lsn || next_lsn - begin_lsn >= round_bytes_max ||
              in_vain > options.bulk_batch_bytes_max;
  if (all_given) return std::nullopt;
  // As few batches as may be, and work for every reader: the last ones share what is left.
  uint64_t share = (head_lsn - next_lsn) / readers_max + 1;
  uint64_t bytes = std::max(std::min(options.bulk_batch_bytes, share), std::max(in_vain, options.bulk_backlog_bytes));
  Batch batch{given++, next_lsn, next_lsn + bytes};
  // The last batch takes along what comes meanwhile.
  if (batch.until >= head_lsn) batch.until += options.bulk_batch_bytes;
  next_lsn = batch.until;
  return batch;
}

asio::awaitable<Trouble> wait_until_durable(ClientContext& context) {
  while (context.stream_bytes_in_flight > 0 || context.jobs_in_flight > 0) {
    if (context.append_error) break;
    co_await context.changed.wait(milliseconds(500));
  }
  if (context.append_error) co_return context.append_trouble();
  co_return Trouble{};
}

// Moves a slot to `lsn`, where it is not there yet.
asio::awaitable<Result<Slot>> move_slot(Bulk& bulk, PgConnection& connection, std::string slot, uint64_t lsn) {
  std::string name = quote_pg_literal(slot);
  for (int attempt = 0;; ++attempt) {
    Result<PgRows> rows = co_await connection.query(
        fmt::format("SELECT CASE WHEN confirmed_flush_lsn < {0}::pg_lsn THEN (pg_replication_slot_advance(slot_name, "
                    "{0}::pg_lsn)).end_lsn "
                    "END FROM pg_replication_slots WHERE slot_name = {1}",
                    quote_pg_literal(lsn_to_string(lsn)), name),
        advance_limit);
    // The stream that was just left may hold the slot for a moment.
    if (!rows.ok() && connection.sqlstate() == "55006" && attempt < 50) {
      asio::steady_timer timer(bulk.context.executor, milliseconds(100));
      co_await timer.async_wait(asio::use_awaitable);
      continue;
    }
    if (!rows.ok()) co_return rows.error();
    break;
  }
  Result<PgRows> rows = co_await connection.query(
      "SELECT restart_lsn, confirmed_flush_lsn, pg_current_wal_flush_lsn() FROM pg_replication_slots WHERE slot_name "
      "= " +
      name);
  if (!rows.ok()) co_return rows.error();
  if (rows->rows() == 0) co_return Error{ErrorCode::kNotFound, "the replication slot is gone"};
  co_return Slot{rows->lsn(0, 0), rows->lsn(0, 1), rows->lsn(0, 2)};
}

asio::awaitable<Trouble> take_peeked(Bulk& bulk, PgConnection& connection) {
  ClientContext& context = bulk.context;
  PeekRowReader rows;
  int turn = 0;
  while (true) {
    std::optional<std::string_view> message = connection.next_message();
    if (!message) {
      if (connection.copy_ended() || connection.copy_failed()) co_return Trouble{};
      Status waited = co_await connection.wait_readable(piece_limit);
      if (!waited.ok()) co_return bulk.failed(connection, waited.error());
      continue;
    }
    Result<std::optional<PeekRowReader::Row>> row = rows.read(*message);
    if (!row.ok()) co_return bulk.failed(connection, row.error());
    if (!*row) continue;
    Result<bool> taken = take_message(context, (*row)->lsn, (*row)->data);
    if (!taken.ok()) co_return bulk.failed(connection, taken.error());
    if (!*taken) {
      Status settled = co_await settle_message(context, (*row)->lsn, (*row)->data);
      if (!settled.ok()) co_return bulk.failed(connection, settled.error());
    }
    if (++turn < messages_a_turn) continue;
    turn = 0;
    if (context.should_flush(Clock::now())) context.flush();
    Status room = co_await context.wait_for_room(context.stream_bytes_in_flight);
    if (!room.ok()) co_return Trouble{Kind::kStop, room.error().to_string(), ""};
    co_await asio::post(context.executor, asio::use_awaitable);
  }
}

// Has the server decode the batch, waits for its turn, and takes the rows. kSwitch: by streaming instead.
asio::awaitable<Trouble> read_batch(Bulk& bulk, Reader& reader, Batch batch) {
  ClientContext& context = bulk.context;
  PgConnection& connection = reader.connection;
  Result<Slot> slot = co_await move_slot(bulk, connection, reader.slot, batch.begin);
  if (!slot.ok()) co_return bulk.failed(connection, slot.error());
  bulk.restart_lsn = std::max(bulk.restart_lsn, slot->restart_lsn);
  std::vector<PgRows> rows;
  // Its data begins once all of it is decoded.
  Status started = co_await connection.start_copy(
      fmt::format("COPY (SELECT lsn, data FROM pg_logical_slot_peek_binary_changes({}, {}, NULL, 'proto_version', '1', "
                  "'publication_names', {}, 'messages', 'true')) TO STDOUT (FORMAT binary)",
                  quote_pg_literal(reader.slot), quote_pg_literal(lsn_to_string(batch.until)),
                  quote_pg_literal(quote_pg_identifier(context.config.name))),
      rows, context.options.bulk_silence_max);
  if (!started.ok() && started.error().code == ErrorCode::kTimeout) {
    connection.cancel_running();
    co_return bulk.back_to_streaming("a peek took too long, as huge transactions do");
  }
  Status read = started;
  if (read.ok()) {
    while (bulk.taken != batch.number) co_await bulk.changed.wait(milliseconds(500));
    Trouble taken = co_await take_peeked(bulk, connection);
    if (taken.kind != Kind::kNone) co_return taken;
    read = co_await connection.finish_copy(rows, piece_limit);
  }
  if (!read.ok() && connection.sqlstate().starts_with("53")) {
    co_return bulk.back_to_streaming("the server has no room for a peek: " + read.error().message);
  }
  if (!read.ok()) co_return bulk.failed(connection, read.error());
  if (context.assembler->in_transaction())
    co_return bulk.failed(connection, {ErrorCode::kCorrupt, "a peek ended inside a transaction"});
  // Up to `until` every record was looked at; at the head the last one may have been cut, so only commits count.
  if (batch.until < bulk.head_lsn) {
    Status sent = context.assembler->sent_until(batch.until);
    if (!sent.ok()) co_return bulk.failed(connection, sent.error());
  }
  context.delivered_lsn = std::max(context.delivered_lsn, context.assembler->delivered_lsn());
  context.delivered.notify();
  ++bulk.taken;
  bulk.changed.notify();
  co_return Trouble{};
}

// Connects and copies the slot. The copy is gone with the connection.
asio::awaitable<Status> prepare_reader(Bulk& bulk, Reader& reader) {
  Status connected = co_await reader.connection.connect(false, connect_limit);
  if (connected.ok()) connected = co_await reader.connection.execute("SET work_mem = '64MB'");
  if (connected.ok()) connected = co_await take_server_bytes(reader.connection, bulk.context.server_text);
  if (!connected.ok()) co_return connected;
  Result<PgRows> copied = co_await reader.connection.query(fmt::format(
      "SELECT slot_name FROM pg_copy_logical_replication_slot({}, 'tributary_bulk_' || pg_backend_pid(), true)",
      quote_pg_literal(bulk.context.state.slot)));
  if (!copied.ok()) co_return copied.error();
  reader.slot = copied->text(0, 0);
  co_return Status();
}

// Reads batches until the round has no more and all are taken.
asio::awaitable<Trouble> read_batches(Bulk& bulk, Reader& reader) {
  if (reader.slot.empty()) {
    Status prepared = co_await prepare_reader(bulk, reader);
    if (!prepared.ok() && !reader.connection.usable()) co_return bulk.failed(reader.connection, prepared.error());
    // Where slots are scarce one reader is enough.
    if (!prepared.ok() && --bulk.readers == 0) {
      co_return bulk.back_to_streaming("the server gives no slot to read in bulk with: " + prepared.error().message);
    }
  }
  while (!reader.slot.empty()) {
    std::optional<Batch> batch = bulk.next_batch();
    if (!batch) break;
    Trouble read = co_await read_batch(bulk, reader, *batch);
    if (read.kind != Kind::kNone) co_return read;
  }
  while (!bulk.all_given || bulk.taken < bulk.given) co_await bulk.changed.wait(milliseconds(500));
  co_return Trouble{};
}

}  // namespace

asio::awaitable<Trouble> peek_changes(ClientContext& context) {
  using asio::experimental::awaitable_operators::operator||;
  Bulk bulk(context);
  Status connected = co_await bulk.connection.connect(false, connect_limit);
  if (!connected.ok()) co_return bulk.failed(bulk.connection, connected.error());
  std::array<Reader, readers_max> readers{Reader(context), Reader(context)};
  context.spill = std::make_unique<TransactionSpill>(
      context.options.temp_directory, "spill-" + context.config.client.value, context.options.spill_memory_bytes_max);
  while (true) {
    Trouble durable = co_await wait_until_durable(context);
    if (durable.kind != Kind::kNone) co_return durable;
    Result<Slot> slot = co_await move_slot(bulk, bulk.connection, context.state.slot, context.durable_confirmed_lsn);
    if (!slot.ok()) co_return bulk.failed(bulk.connection, slot.error());
    uint64_t begin = std::max(slot->confirmed_lsn, context.durable_confirmed_lsn);
    uint64_t backlog = slot->head_lsn > begin ? slot->head_lsn - begin : 0;
    if (backlog < context.options.bulk_backlog_bytes) co_return Trouble{Kind::kSwitch, "near the head", ""};
    if (begin - std::min(begin, slot->restart_lsn) > context.options.bulk_batch_bytes_max) {
      co_return bulk.back_to_streaming("an old open transaction makes peeking slow");
    }
    context.set_mode(context.tables_to_read.empty() ? SourceMode::kBulk : SourceMode::kSnapshot);
    context.assembler = context.make_assembler(slot->confirmed_lsn);
    bulk.begin_round(*slot, begin);
    auto ended = co_await (read_batches(bulk, readers[0]) || read_batches(bulk, readers[1]));
    Trouble read = std::visit([](auto& reason) { return reason; }, ended);
    if (read.kind != Kind::kNone) co_return read;
    if (context.assembler->delivered_lsn() <= begin)
      co_return bulk.back_to_streaming("nothing was committed in what was peeked");
    context.flush();
  }
}

}  // namespace tributary
