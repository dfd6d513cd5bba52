// Rows per second through the block codec, for a table of 11 columns like a shop's orders.
#include <benchmark/benchmark.h>

#include "codec/block.h"

namespace tributary {
namespace {

EventBatch orders(uint32_t rows) {
  auto schema = std::make_shared<TableSchema>();
  schema->table = "public.orders";
  schema->version = 1;
  schema->columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                     {"user_id", {TypeId::kInt64}, "bigint", false, false},
                     {"status", {TypeId::kText}, "text", false, true},
                     {"total", {TypeId::kDecimal, 12, 2}, "numeric(12,2)", false, false},
                     {"quantity", {TypeId::kInt32}, "integer", false, false},
                     {"placed_at", {TypeId::kTimestampTz}, "timestamp with time zone", false, false},
                     {"shipped_at", {TypeId::kTimestampTz}, "timestamp with time zone", false, false},
                     {"discount", {TypeId::kFloat64}, "double precision", false, false},
                     {"gift", {TypeId::kBool}, "boolean", false, false},
                     {"note", {TypeId::kText}, "text", false, true},
                     {"address", {TypeId::kText}, "text", false, true}};
  schema->key_columns = {0};
  EventBatch batch(ClientId("acme"), "orders", schema);
  for (uint32_t i = 0; i < rows; ++i) {
    uint64_t lsn = 0x1A2B3C00 + i / 10 * 2000;
    batch.ops.push_back(Op::kCreate);
    batch.positions.push_back({1, lsn + 1900, lsn + i % 10 * 180, 0});
    batch.commit_micros.push_back(1'700'000'000'000'000 + i * 37);
    batch.transactions.push_back(742 + i / 10);
    std::vector<Column>& c = batch.columns;
    c[0].append_fixed<int64_t>(i);
    c[1].append_fixed<int64_t>(i * 2654435761U % 100'000);
    c[2].append_bytes(i % 3 == 0 ? "pending" : "shipped");
    c[3].append_fixed<Int128>(i * 7919 % 100'000);
    c[4].append_fixed<int32_t>(static_cast<int32_t>(i % 7));
    c[5].append_fixed<int64_t>(1'700'000'000'000'000 + i * 37);
    if (i % 3 == 0) {
      c[6].append_null();
    } else {
      c[6].append_fixed<int64_t>(1'700'000'100'000'000 + i * 53);
    }
    c[7].append_fixed<double>(i % 100 / 100.0);
    c[8].append_fixed<uint8_t>(i % 9 == 0);
    c[9].append_bytes("order note number " + std::to_string(i * 48271 % 65'536));
    c[10].append_bytes(std::to_string(i % 500) + " Long Street, Springfield");
  }
  return batch;
}

void encode(benchmark::State& state, BlockCompression compression) {
  EventBatch batch = orders(16'384);
  size_t bytes = 0;
  for (auto _ : state) bytes = encode_block(batch, compression).size();
  state.counters["rows/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(batch.rows()), benchmark::Counter::kIsRate);
  state.counters["bytes/row"] = static_cast<double>(bytes) / static_cast<double>(batch.rows());
}

void decode(benchmark::State& state, BlockCompression compression) {
  EventBatch batch = orders(16'384);
  std::string bytes = encode_block(batch, compression);
  for (auto _ : state) benchmark::DoNotOptimize(decode_block(bytes, batch.schema).value());
  state.counters["rows/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(batch.rows()), benchmark::Counter::kIsRate);
}

BENCHMARK_CAPTURE(encode, none, BlockCompression::kNone);
BENCHMARK_CAPTURE(encode, lz4, BlockCompression::kLz4);
BENCHMARK_CAPTURE(encode, zstd, BlockCompression::kZstd);
BENCHMARK_CAPTURE(decode, none, BlockCompression::kNone);
BENCHMARK_CAPTURE(decode, lz4, BlockCompression::kLz4);
BENCHMARK_CAPTURE(decode, zstd, BlockCompression::kZstd);

}  // namespace
}  // namespace tributary
