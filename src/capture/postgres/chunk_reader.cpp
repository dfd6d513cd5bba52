#include "capture/postgres/chunk_reader.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "codec/postgres/copy_text.h"

namespace tributary {
namespace {

using Clock = PgConnection::Clock;
using std::chrono::milliseconds;

constexpr milliseconds read_limit{120'000};  // for the next piece of a chunk
constexpr size_t batch_rows = 16'384;        // rows of one EventBatch
constexpr int rows_a_turn = 2'000;

asio::awaitable<Status> take_rows(TableConnection& reader, const TableTarget& target, int64_t micros,
                                  const ChunkQuery& query, Chunk& chunk) {
  RowFacts facts(reader.context.config.client, reader.context.server_text);
  int turn = 0;
  while (true) {
    std::optional<std::string_view> line = reader.connection.next_message();
    if (!line) {
      if (reader.connection.copy_ended() || reader.connection.copy_failed()) break;
      Status waited = co_await reader.connection.wait_readable(read_limit);
      if (!waited.ok()) co_return waited;
      continue;
    }
    Status split = split_copy_line(*line, target.schema->columns.size(), reader.cells, reader.scratch);
    if (!split.ok()) co_return split;
    // The position is known only afterwards, from the transactions delivered meanwhile: it is filled in then.
    Status added = facts.add_snapshot(target, {Position{}, micros, 0}, reader.cells);
    if (!added.ok()) co_return added;
    if (query.want_keys) chunk.keys.push_back(row_key_of(*target.schema, reader.cells, reader.context.server_text));
    ++chunk.rows;
    chunk.bytes += line->size();
    if (facts.facts() >= batch_rows) chunk.batches.push_back(std::move(facts.take()[0]));
    if (++turn % rows_a_turn == 0) co_await asio::post(reader.context.executor, asio::use_awaitable);
  }
  if (!facts.empty()) chunk.batches.push_back(std::move(facts.take()[0]));
  co_return Status();
}

}  // namespace

asio::awaitable<Result<Chunk>> read_chunk(TableConnection& reader, TableTarget target, ChunkQuery query) {
  ClientContext& context = reader.context;
  // Everything delivered before the snapshot is taken is in it, but for what visibility finds invisible.
  uint64_t delivered_lsn = context.delivered_lsn;
  std::vector<PgRows> before;
  std::vector<PgRows> after;
  std::string relation =
      query.relation == 0
          ? "0"
          : fmt::format("coalesce(pg_relation_size({}::oid), 0) / current_setting('block_size')::int", query.relation);
  const char* encoding = context.server_text.converts() ? " (ENCODING 'SQL_ASCII')" : "";  // its bytes as they are
  Status started = co_await reader.connection.start_copy(
      fmt::format("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                  "SELECT pg_current_snapshot(), (extract(epoch FROM now()) * 1000000)::bigint, {}; "
                  "COPY ({}) TO STDOUT{}; SELECT coalesce(pg_relation_filenode({}::oid), 0); COMMIT",
                  relation, query.copy, encoding, query.relation),
      before, read_limit);
  Status read = started;
  Chunk chunk;
  if (started.ok()) {
    read = co_await take_rows(reader, target, static_cast<int64_t>(before[0].number(0, 1)), query, chunk);
    if (read.ok()) read = co_await reader.connection.finish_copy(after, read_limit);
  }
  if (!read.ok()) {
    std::string sqlstate = reader.connection.sqlstate();
    if (!reader.connection.usable() || sqlstate.empty()) {
      reader.connection.close();
    } else {
      (void)co_await reader.connection.execute("ROLLBACK");
    }
    co_return read.error();
  }
  std::optional<PgSnapshot> snapshot = PgSnapshot::parse(before[0].text(0, 0));
  if (!snapshot || after.empty()) co_return Error{ErrorCode::kInternal, "the server's snapshot does not parse"};
  uint64_t lsn = context.visibility.read_lsn(delivered_lsn, *snapshot);
  chunk.position = Position::before_commit(context.state.epoch, lsn);
  chunk.relation_blocks = before[0].number(0, 2);
  chunk.file_node = static_cast<uint32_t>(after[0].number(0, 0));
  for (EventBatch& batch : chunk.batches) std::fill(batch.positions.begin(), batch.positions.end(), chunk.position);
  co_return chunk;
}

asio::awaitable<Trouble> pass_barrier(TableConnection& reader) {
  ClientContext& context = reader.context;
  while (context.visibility.needs_barrier()) {
    context.visibility.begin_barrier();
    // A new id, and not the snapshot's xmax: transactions that wait for a standby may have ids above that.
    Result<PgRows> barrier = co_await reader.connection.query("SELECT pg_current_xact_id()");
    if (!barrier.ok()) co_return reader.failed(barrier.error());
    uint64_t id = barrier->number(0, 0);
    auto reported_at = Clock::now();
    while (true) {
      Result<PgRows> oldest = co_await reader.connection.query("SELECT pg_snapshot_xmin(pg_current_snapshot())");
      if (!oldest.ok()) co_return reader.failed(oldest.error());
      if (oldest->number(0, 0) > id) break;
      if (Clock::now() - reported_at > std::chrono::seconds(1)) {
        std::string blocker = co_await oldest_transaction(reader.connection);
        reported_at = Clock::now();
        context.set_mode(SourceMode::kSnapshot, fmt::format("reading the tables waits for {}", blocker),
                         "End that transaction, or wait until it ends.");
      }
      asio::steady_timer timer(context.executor, milliseconds(50));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }
  co_return Trouble{};
}

asio::awaitable<Trouble> pass_mark(TableConnection& reader, std::string_view what) {
  Result<PgRows> mark =
      co_await reader.connection.query(fmt::format("SELECT pg_logical_emit_message(true, 'tributary', '{}')", what));
  if (!mark.ok()) co_return reader.failed(mark.error());
  uint64_t lsn = mark->lsn(0, 0);
  while (reader.context.delivered_lsn < lsn) co_await reader.context.delivered.wait(milliseconds(200));
  co_return Trouble{};
}

}  // namespace tributary
