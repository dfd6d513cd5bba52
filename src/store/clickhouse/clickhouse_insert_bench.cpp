// Rows a second through encode, HTTP and the engine, 12 columns, by rows an INSERT, compression and sync; and the parts
// that the server makes a minute, by how many clients the rows are of. JSON on stdout, for ./dev bench analytics.
//
//   build/<preset>/clickhouse_insert_bench
//
// Has a main of its own, since the engine's child is this very program.
#include <fmt/format.h>

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>
#include <thread>

#include "engine/engine_child.h"
#include "engine/temporary_engine.h"
#include "store/clickhouse/clickhouse_store.h"

namespace tributary {
namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// CPU seconds of the engine so far, its merges included.
double engine_cpu(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string word;
  double ticks = 0;
  for (int field = 1; field <= 15 && file >> word; ++field) {
    if (field >= 14) ticks += std::strtod(word.c_str(), nullptr);
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

TableDefinition make_table(const std::string& name) {
  TableDefinition table{.name = name, .columns = {{"id", {TypeId::kInt64}, false}}, .order_by = {"id"}};
  for (const char* column : {"a", "b", "c"}) table.columns.push_back({column, {TypeId::kText}, true});
  for (const char* column : {"d", "e"}) table.columns.push_back({column, {TypeId::kDecimal, 12, 2}, true});
  for (const char* column : {"f", "g"}) table.columns.push_back({column, {TypeId::kTimestampTz}, true});
  for (const char* column : {"h", "i"}) table.columns.push_back({column, {TypeId::kInt32}, true});
  table.columns.push_back({"j", {TypeId::kBool}, true});
  table.columns.push_back({"k", {TypeId::kUuid}, true});
  return table;
}

OutputBatch make_batch(const TableDefinition& table, size_t rows, uint64_t first, size_t clients) {
  OutputBatch batch;
  for (size_t i = 0; i < clients; ++i) batch.clients.emplace_back(fmt::format("client_{}", i));
  for (const OutputColumn& column : table.columns) batch.columns.emplace_back(column.type);
  for (uint64_t row = first; row < first + rows; ++row) {
    batch.client_of_row.push_back(row % clients);
    for (Column& column : batch.columns) {
      switch (column.type().id) {
        case TypeId::kInt64: column.append_fixed<int64_t>(static_cast<int64_t>(row)); break;
        case TypeId::kText: column.append_bytes(fmt::format("some text {}", row % 1000)); break;
        case TypeId::kDecimal: column.append_fixed<Int128>(static_cast<Int128>(row * 7)); break;
        case TypeId::kTimestampTz:
          column.append_fixed<int64_t>(1'700'000'000'000'000 + static_cast<int64_t>(row));
          break;
        case TypeId::kInt32: column.append_fixed<int32_t>(static_cast<int32_t>(row)); break;
        case TypeId::kBool: column.append_fixed<uint8_t>(row & 1); break;
        default: column.append_bytes(fmt::format("{:016x}", row * 0x9E3779B97F4A7C15ULL)); break;
      }
    }
    batch.keys.push_back(fmt::format("\x02{:08x}", row));
    batch.versions.push_back(Version::of_checkpoint(1, row + 1));
    batch.deleted.push_back(0);
  }
  return batch;
}

double own_cpu() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// New rows each time: a batch that was there before is known by its token.
std::string measure(pid_t engine, ClickHouseStore& store, const TableDefinition& table, size_t rows, size_t times,
                    std::string_view compression) {
  static uint64_t first = 0;
  double encode_seconds = 0;
  double insert_seconds = 0;
  size_t bytes = 0;
  double cpu = engine_cpu(engine);
  double own = 0;
  for (size_t i = 0; i < times; ++i) {
    OutputBatch batch = make_batch(table, rows, first, 10);
    first += rows;
    double own_before = own_cpu();
    double begun = seconds();
    std::string encoded = *store.encode(table, batch);
    double middle = seconds();
    std::string_view piece = encoded;
    Status status = store.insert(table.name, {&piece, 1});
    CHECK(status.ok(), "{}", status.error().to_string());
    insert_seconds += seconds() - middle;
    encode_seconds += middle - begun;
    own += own_cpu() - own_before;
    bytes = encoded.size();
  }
  double all = static_cast<double>(rows * times);
  return fmt::format(R"({{"table":"{}","compression":"{}","rows":{},"times":{},"encode_ms":{:.3f},"insert_ms":{:.3f},)"
                     R"("rows_per_second":{:.0f},"bytes_a_row":{},"own_us_a_row":{:.3f},"engine_us_a_row":{:.3f}}})",
                     table.name, compression, rows, times, encode_seconds / static_cast<double>(times) * 1e3,
                     insert_seconds / static_cast<double>(times) * 1e3, all / (encode_seconds + insert_seconds),
                     bytes / rows, own * 1e6 / all, (engine_cpu(engine) - cpu) * 1e6 / all);
}

// The sink's rhythm (runtime.h): what has come since the last INSERT goes out 40 ms after it, of all clients together.
std::string parts(ClickHouseStore& store, const TableDefinition& table, size_t clients, double for_seconds) {
  constexpr double rows_per_second = 5000;
  auto blocks = [&] {
    auto got =
        store.execute(fmt::format("SELECT max(max_block_number) FROM system.parts WHERE database = '_tributary' AND "
                                  "table = '{}'",
                                  table.name));
    return got.ok() ? std::strtod(got->c_str(), nullptr) : 0;
  };
  double before = blocks();
  double begun = seconds();
  uint64_t sent = 0;
  while (seconds() - begun < for_seconds) {
    auto due = static_cast<uint64_t>((seconds() - begun) * rows_per_second) + 1;
    std::string encoded = *store.encode(table, make_batch(table, due - sent, sent, clients));
    sent = due;
    std::string_view piece = encoded;
    CHECK(store.insert(table.name, {&piece, 1}).ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
  }
  return fmt::format(R"({{"clients":{},"rows_per_second":{:.0f},"parts_a_minute":{:.0f}}})", clients,
                     static_cast<double>(sent) / (seconds() - begun), (blocks() - before) * 60 / (seconds() - begun));
}

int run() {
  TemporaryEngine engine;
  ClickHouseStore store({.socket = engine.socket()});
  std::vector<TableDefinition> tables = {make_table("synced"), make_table("unsynced"), make_table("few")};
  std::vector<ClientId> clients = {ClientId("client_0")};
  CHECK(store.prepare(tables, clients).ok());
  CHECK(store.execute("ALTER TABLE _tributary.unsynced MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")
            .ok());
  std::string inserts;
  for (size_t i = 0; i < 2; ++i) {
    for (HttpCompression compression : {HttpCompression::kNone, HttpCompression::kLz4, HttpCompression::kZstd}) {
      ClickHouseStore through({.socket = engine.socket(), .compression = compression});
      for (auto [rows, times] : {std::pair<size_t, size_t>{1, 100}, {1000, 50}, {10'000, 30}, {100'000, 10}}) {
        std::string name(content_encoding(compression));
        inserts += (inserts.empty() ? "" : ",") +
                   measure(engine.process().pid(), through, tables[i], rows, times, name.empty() ? "none" : name);
      }
    }
  }
  std::string by_clients;
  for (size_t count : {1, 100, 1000})
    by_clients += (by_clients.empty() ? "" : ",") + parts(store, tables[2], count, 15);
  fmt::print("{{\"inserts\":[{}],\"parts\":[{}]}}\n", inserts, by_clients);
  return 0;
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == tributary::engine_command)
    return tributary::run_engine_child(argc, argv);
  return tributary::run();
}
