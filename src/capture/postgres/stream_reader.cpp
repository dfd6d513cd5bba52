// Reading near the head: START_REPLICATION with pgoutput's protocol 2. One coroutine reads; another sends status messages
// by timer, whatever the first waits for (the log, the catalog, a huge transaction's end).
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/bytes.h"
#include "capture/postgres/client_context.h"
#include "capture/postgres/server_encoding.h"

namespace tributary {
namespace {

using Clock = PgConnection::Clock;
using std::chrono::milliseconds;

constexpr milliseconds connect_limit{20'000};
// Messages between two looks at the clock, at what else waits for the loop, and at the log.
constexpr int messages_a_turn = 256;

struct Stream {
  explicit Stream(ClientContext& client) : context(client), connection(client.executor, *client.settings) {}
  ClientContext& context;
  PgConnection connection;
  uint64_t received_lsn = 0;
  bool reply_wanted = false;
  // Since when the reader has nothing at hand. nullopt: it has, or is busy with something else, and then the server's silence
  // says nothing.
  std::optional<Clock::time_point> waits_since;
};

// Standby status update: what we have, and what is durable, which the slot may forget.
std::string status_update(const Stream& stream, bool want_reply) {
  uint64_t durable = stream.context.durable_confirmed_lsn;
  std::string out = "r";
  put_u64_big(out, std::max(stream.received_lsn, durable));
  put_u64_big(out, durable);
  put_u64_big(out, durable);
  auto now = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
  put_u64_big(out, static_cast<uint64_t>(now.count() - postgres_epoch_micros));
  put_u8(out, want_reply ? 1 : 0);
  return out;
}

asio::awaitable<Trouble> send_status(Stream& stream) {
  ClientContext& context = stream.context;
  uint64_t told_durable = 0;
  auto told_at = Clock::now();
  while (true) {
    auto now = Clock::now();
    auto silent = stream.waits_since ? now - *stream.waits_since : Clock::duration::zero();
    if (silent > context.options.silence_max) {
      co_return Trouble{Trouble::Kind::kRetry,
                        "the server has been silent for too long: the connection is taken for dead", ""};
    }
    // A third of the time in which a silent server is given up, it is asked for an answer.
    bool ask = silent > context.options.silence_max / 3;
    bool news = context.durable_confirmed_lsn != told_durable;
    if (stream.reply_wanted || ask || news || now - told_at > context.options.status_interval * 5) {
      told_durable = context.durable_confirmed_lsn;
      told_at = now;
      stream.reply_wanted = false;
      Status sent = co_await stream.connection.send_message(status_update(stream, ask), context.options.silence_max);
      if (!sent.ok()) co_return Trouble{Trouble::Kind::kRetry, sent.error().message, ""};
    }
    asio::steady_timer timer(context.executor, context.options.status_interval);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

bool holds_commits(const ClientContext& context) {
  return !context.assembler->facts().empty() && !context.assembler->in_transaction();
}

// Nothing is at hand: what was committed goes to the log, unless that is busy; then flush_held() does it as soon as the
// log is free, so that many small transactions become few appends.
asio::awaitable<Status> wait_for_more(Stream& stream) {
  if (holds_commits(stream.context) && stream.context.stream_jobs_in_flight == 0) stream.context.flush();
  stream.waits_since = Clock::now();
  Status waited = co_await stream.connection.wait_readable();
  stream.waits_since.reset();
  co_return waited;
}

asio::awaitable<Trouble> flush_held(Stream& stream) {
  ClientContext& context = stream.context;
  while (true) {
    co_await context.changed.wait(milliseconds(1000));
    if (stream.waits_since && holds_commits(context) && context.stream_jobs_in_flight == 0) context.flush();
  }
}

// XLogData and keepalives: PostgreSQL's documentation, "Streaming Replication Protocol".
// True: settle_message() has to follow.
Result<bool> take_frame(Stream& stream, std::string_view frame, uint64_t& lsn, std::string_view& payload) {
  ByteReader reader(frame);
  uint8_t type = reader.u8();
  if (type == 'w') {
    lsn = reader.u64_big();
    uint64_t wal_end = reader.u64_big();
    reader.u64_big();
    payload = reader.rest();
    if (!reader.ok()) return Error{ErrorCode::kCorrupt, "a truncated replication frame"};
    stream.received_lsn = std::max(stream.received_lsn, wal_end);
    ASSIGN_OR_RETURN(bool taken, take_message(stream.context, lsn, payload));
    return !taken;
  }
  if (type != 'k') return Error{ErrorCode::kCorrupt, fmt::format("an unknown replication frame 0x{:02x}", type)};
  uint64_t wal_end = reader.u64_big();
  reader.u64_big();
  uint8_t wants_reply = reader.u8();
  if (!reader.ok()) return Error{ErrorCode::kCorrupt, "a truncated keepalive"};
  stream.received_lsn = std::max(stream.received_lsn, wal_end);
  RETURN_IF_ERROR(stream.context.assembler->sent_until(wal_end));
  if (stream.context.assembler->delivered_lsn() > stream.context.delivered_lsn) {
    stream.context.delivered_lsn = stream.context.assembler->delivered_lsn();
    stream.context.delivered.notify();
  }
  stream.reply_wanted = stream.reply_wanted || wants_reply != 0;
  return false;
}

asio::awaitable<Trouble> read_stream(Stream& stream) {
  ClientContext& context = stream.context;
  auto failed = [&](const Error& error) {
    return trouble_of(error, stream.connection.sqlstate(), context.config.client.value);
  };
  int turn = 0;
  while (true) {
    std::optional<std::string_view> frame = stream.connection.next_message();
    if (!frame) {
      if (stream.connection.copy_ended() || stream.connection.copy_failed()) {
        std::vector<PgRows> rows;
        Status ended = co_await stream.connection.finish_copy(rows, connect_limit);
        co_return failed(ended.ok() ? Error{ErrorCode::kUnavailable, "the server ended the replication stream"}
                                    : ended.error());
      }
      Status waited = co_await wait_for_more(stream);
      if (!waited.ok()) co_return failed(waited.error());
    } else {
      uint64_t lsn = 0;
      std::string_view payload;
      Result<bool> more = take_frame(stream, *frame, lsn, payload);
      if (!more.ok()) co_return failed(more.error());
      if (*more) {
        Status settled = co_await settle_message(context, lsn, payload);
        if (!settled.ok()) co_return failed(settled.error());
      }
      if (++turn < messages_a_turn) continue;
      co_await asio::post(context.executor, asio::use_awaitable);
    }
    turn = 0;
    context.delivered.notify();
    if (context.should_flush(Clock::now())) context.flush();
    Status room = co_await context.wait_for_room(context.stream_bytes_in_flight);
    if (!room.ok()) co_return failed(room.error());
    bool at_boundary = !context.assembler->in_transaction() && context.spill->empty();
    if (context.bulk_wanted && at_boundary) {
      if (!context.assembler->facts().empty()) context.flush();
      co_return Trouble{Trouble::Kind::kSwitch, "far behind", ""};
    }
  }
}

}  // namespace

asio::awaitable<Trouble> stream_changes(ClientContext& context) {
  using asio::experimental::awaitable_operators::operator||;
  Stream stream(context);
  auto failed = [&](const Error& error) {
    return trouble_of(error, stream.connection.sqlstate(), context.config.client.value);
  };
  Status connected = co_await stream.connection.connect(true, connect_limit);
  if (connected.ok()) connected = co_await take_server_bytes(stream.connection, context.server_text);
  if (!connected.ok()) co_return failed(connected.error());
  context.spill = std::make_unique<TransactionSpill>(
      context.options.temp_directory, "spill-" + context.config.client.value, context.options.spill_memory_bytes_max);
  context.assembler = context.make_assembler(context.state.confirmed_lsn);
  std::vector<PgRows> rows;
  Status started = co_await stream.connection.start_copy(
      fmt::format("START_REPLICATION SLOT {} LOGICAL {} (proto_version '2', publication_names {}, streaming 'on', "
                  "messages 'true')",
                  quote_pg_identifier(context.state.slot), lsn_to_string(context.state.confirmed_lsn),
                  quote_pg_literal(quote_pg_identifier(context.config.name))),
      rows, connect_limit);
  if (!started.ok()) co_return failed(started.error());
  context.set_mode(context.tables_to_read.empty() ? SourceMode::kStreaming : SourceMode::kSnapshot);
  auto ended = co_await (read_stream(stream) || send_status(stream) || flush_held(stream));
  co_return std::visit([](auto& reason) { return reason; }, ended);
}

}  // namespace tributary
