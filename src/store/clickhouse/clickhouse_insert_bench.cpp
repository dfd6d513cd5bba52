// Rows a second through encode, HTTP and the engine, 12 columns; and the parts of it.
//
//   build/<preset>/clickhouse_insert_bench
//
// Has a main of its own, since the engine's child is this very program.
#include <fmt/format.h>

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string_view>

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

OutputBatch make_batch(const TableDefinition& table, size_t rows, uint64_t first) {
  OutputBatch batch;
  for (int i = 0; i < 10; ++i) batch.clients.emplace_back(fmt::format("client_{}", i));
  for (const OutputColumn& column : table.columns) batch.columns.emplace_back(column.type);
  for (uint64_t row = first; row < first + rows; ++row) {
    batch.client_of_row.push_back(row % 10);
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

void measure(pid_t engine, ClickHouseStore& store, const TableDefinition& table, size_t rows, size_t times) {
  OutputBatch batch = make_batch(table, rows, 0);
  double encode_seconds = 0;
  double insert_seconds = 0;
  size_t bytes = 0;
  double cpu = engine_cpu(engine);
  for (size_t i = 0; i < times; ++i) {
    double begun = seconds();
    std::string encoded = *store.encode(table, batch);
    double middle = seconds();
    std::string_view piece = encoded;
    Status status = store.insert(table.name, {&piece, 1});
    CHECK(status.ok(), "{}", status.error().to_string());
    insert_seconds += seconds() - middle;
    encode_seconds += middle - begun;
    bytes = encoded.size();
  }
  fmt::print(
      "{:>9} rows x {:<4} encode {:8.3f} ms, insert {:8.3f} ms, {:.0f} rows/s, {} bytes a row, engine CPU {:.2f} us a "
      "row\n",
      rows, times, encode_seconds / times * 1e3, insert_seconds / times * 1e3,
      rows * times / (encode_seconds + insert_seconds), bytes / rows,
      (engine_cpu(engine) - cpu) * 1e6 / (rows * times));
}

int run() {
  TemporaryEngine engine;
  ClickHouseStore store({.socket = engine.socket()});
  std::vector<TableDefinition> tables = {make_table("synced"), make_table("unsynced")};
  if (getenv("V")) tables.push_back(make_table("v"));
  std::vector<ClientId> clients = {ClientId("client_0")};
  CHECK(store.prepare(tables, clients).ok());
  CHECK(store.execute("ALTER TABLE _tributary.unsynced MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")
            .ok());
  if (getenv("V"))
    CHECK(store
              .execute("ALTER TABLE _tributary.v MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0, " +
                       std::string(getenv("V")))
              .ok());
  for (const TableDefinition& table : tables) {
    fmt::print("{}:\n", table.name);
    for (auto [rows, times] : {std::pair<size_t, size_t>{1, 200}, {1000, 100}, {10'000, 50}, {100'000, 10}}) {
      measure(engine.process().pid(), store, table, rows, times);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == tributary::engine_command)
    return tributary::run_engine_child(argc, argv);
  return tributary::run();
}
