// Rows per second into the embedded log and out of it, synced, on the disk of the temporary directory.
#include <benchmark/benchmark.h>

#include <atomic>

#include "codec/block.h"
#include "log/embedded/embedded_log.h"
#include "storage/temporary_directory.h"

namespace tributary {
namespace {

struct BenchLog {
  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage = std::move(Storage::open(directory.path(), {}).value());
  std::unique_ptr<EmbeddedLog> log = std::move(EmbeddedLog::open(*storage, {}).value());
  ClientId client{"acme"};
  SchemaPtr schema;

  BenchLog() {
    TableSchema table;
    table.table = "public.orders";
    table.columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                     {"user_id", {TypeId::kInt64}, "bigint", false, false},
                     {"total", {TypeId::kDecimal, 12, 2}, "numeric(12,2)", false, false},
                     {"placed_at", {TypeId::kTimestampTz}, "timestamp with time zone", false, false},
                     {"status", {TypeId::kText}, "text", false, true},
                     {"note", {TypeId::kText}, "text", false, true}};
    table.key_columns = {0};
    schema = log->register_schema(client, table).value();
  }

  EventBatch orders(uint64_t first, uint32_t rows) const {
    EventBatch batch(client, "orders", schema);
    for (uint64_t i = first; i < first + rows; ++i) {
      batch.ops.push_back(Op::kCreate);
      batch.positions.push_back({1, i / 10 * 2000, i * 200, 0});
      batch.commit_micros.push_back(static_cast<int64_t>(1'700'000'000'000'000 + i * 37));
      batch.transactions.push_back(742 + i / 10);
      batch.columns[0].append_fixed<int64_t>(static_cast<int64_t>(i));
      batch.columns[1].append_fixed<int64_t>(static_cast<int64_t>(i * 2654435761U % 100'000));
      batch.columns[2].append_fixed<Int128>(static_cast<Int128>(i * 7919 % 100'000));
      batch.columns[3].append_fixed<int64_t>(static_cast<int64_t>(1'700'000'000'000'000 + i * 37));
      batch.columns[4].append_bytes(i % 3 == 0 ? "pending" : "shipped");
      batch.columns[5].append_bytes("order note number " + std::to_string(i * 48271 % 65'536));
    }
    return batch;
  }
};

void append(benchmark::State& state) {
  static BenchLog* bench = nullptr;
  static std::atomic<uint64_t> next;
  if (state.thread_index() == 0) bench = new BenchLog;
  auto rows = static_cast<uint32_t>(state.range(0));
  LogAppend append{ClientId("acme"), {}, {{"stream", "x"}}};
  for (auto _ : state) {
    state.PauseTiming();
    append.batches = {bench->orders(next.fetch_add(rows), rows)};
    state.ResumeTiming();
    Status status = bench->log->append({&append, 1});
    if (!status.ok()) state.SkipWithError(status.error().to_string().c_str());
  }
  state.SetItemsProcessed(state.iterations() * rows);
  if (state.thread_index() == 0) delete bench;
}

void read(benchmark::State& state) {
  BenchLog bench;
  for (uint64_t i = 0; i < 20; ++i) {
    LogAppend append{ClientId("acme"), {bench.orders(i * 16'384, 16'384)}, {}};
    if (!bench.log->append({&append, 1}).ok()) state.SkipWithError("append");
  }
  int64_t rows = 0;
  for (auto _ : state) {
    for (const auto& [at, end] : bench.log->ends()) {
      for (Offset next; next < end;) {
        std::vector<LogBlock> blocks = bench.log->read(at, next, 4 << 20).value();
        for (const LogBlock& block : blocks) {
          benchmark::DoNotOptimize(decode_block(block.bytes, bench.schema).value());
          rows += block.events;
        }
        next = blocks.back().next;
      }
    }
  }
  state.SetItemsProcessed(rows);
}

BENCHMARK(append)->Arg(1)->Arg(1000)->Arg(16'384)->Threads(1)->UseRealTime();
BENCHMARK(append)->Arg(1)->Threads(8)->UseRealTime();
BENCHMARK(read)->UseRealTime();

}  // namespace
}  // namespace tributary
