// Events a second into a raw store and back, 12 columns, by events a write; and what making documents costs alone. JSON on stdout,
// for ./dev bench raw.
//
//   build/<preset>/raw_store_bench EVENTS                                  the embedded store
//   build/<preset>/raw_store_bench EVENTS mongodb://127.0.0.1:27017/raw    one on a server
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <ctime>

#include "codec/block.h"
#include "storage/temporary_directory.h"
#include "store/mongodb/mongo_raw.h"
#include "store/raw/embedded_raw.h"

namespace tributary {
namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

SchemaPtr make_schema() {
  auto schema = std::make_shared<TableSchema>();
  schema->table = "public.orders";
  schema->version = 1;
  auto add = [&](const char* name, LogicalType type) {
    schema->columns.push_back({name, type, type.to_string(), schema->columns.empty(), false});
  };
  add("id", {TypeId::kInt64});
  for (const char* name : {"a", "b", "c"}) add(name, {TypeId::kText});
  for (const char* name : {"d", "e"}) add(name, {TypeId::kDecimal, 12, 2});
  for (const char* name : {"f", "g"}) add(name, {TypeId::kTimestampTz});
  for (const char* name : {"h", "i"}) add(name, {TypeId::kInt32});
  add("j", {TypeId::kJson});
  add("k", {TypeId::kUuid});
  schema->key_columns = {0};
  return schema;
}

EventBatch make_batch(const SchemaPtr& schema, uint64_t first, size_t rows) {
  EventBatch batch(ClientId("acme"), "orders", schema);
  for (uint64_t row = first; row < first + rows; ++row) {
    batch.ops.push_back(Op::kCreate);
    batch.positions.push_back({1, row + 1, row + 1, 0});
    batch.commit_micros.push_back(static_cast<int64_t>(1'700'000'000'000'000 + row * 1000));
    batch.transactions.push_back(row);
    for (Column& column : batch.columns) {
      switch (column.type().id) {
        case TypeId::kInt64: column.append_fixed<int64_t>(static_cast<int64_t>(row)); break;
        case TypeId::kText: column.append_bytes(fmt::format("some text {}", row % 1000)); break;
        case TypeId::kDecimal: column.append_fixed<Int128>(static_cast<Int128>(row * 7)); break;
        case TypeId::kTimestampTz:
          column.append_fixed<int64_t>(static_cast<int64_t>(1'700'000'000'000'123 + row * 1000));
          break;
        case TypeId::kJson: column.append_bytes(fmt::format(R"({{"n": {}, "tags": ["a", "b"]}})", row % 100)); break;
        case TypeId::kUuid: column.append_bytes(fmt::format("{:016x}", row)); break;
        default: column.append_fixed<int32_t>(static_cast<int32_t>(row % 97)); break;
      }
    }
  }
  return batch;
}

int fail(const Error& error) {
  fmt::print(stderr, "{}\n", error.to_string());
  return EXIT_FAILURE;
}

void print_line(const char* what, size_t events_a_write, uint64_t events, double took, double own) {
  fmt::print(
      "{{\"what\":\"{}\",\"events_a_write\":{},\"events\":{},\"events_per_second\":{:.0f},\"own_us_an_event\":{:.2f}}}"
      "\n",
      what, events_a_write, events, static_cast<double>(events) / took, own / static_cast<double>(events) * 1e6);
  std::fflush(stdout);
}

void measure_documents(const SchemaPtr& schema, uint64_t events) {
  EventBatch batch = make_batch(schema, 0, events);
  double begin = cpu_seconds();
  RawDocumentWriter writer(batch, {});
  std::vector<Bson> documents(events);
  for (size_t row = 0; row < events; ++row) writer.write_row(documents[row].get(), row);
  double written = cpu_seconds();
  EventBatch back(batch.client, batch.domain, schema);
  RawDocumentReader reader(schema);
  for (const Bson& document : documents) CHECK(reader.append(back, *document).ok());
  double read = cpu_seconds();
  print_line("make documents", events, events, written - begin, written - begin);
  print_line("read documents", events, events, read - written, read - written);
}

int measure_store(RawStore& store, const SchemaPtr& schema, size_t events_a_write, uint64_t& first, uint64_t events) {
  std::vector<LogBlock> blocks;
  for (uint64_t at = 0; at < events; at += events_a_write) {
    auto batch = std::make_shared<const EventBatch>(make_batch(schema, first + at, events_a_write));
    blocks.push_back({{"orders", PartitionId{0}},
                      {},
                      {},
                      static_cast<uint32_t>(events_a_write),
                      encode_block(*batch, BlockCompression::kLz4),
                      batch});
  }
  first += events;
  double begin = seconds();
  double cpu = cpu_seconds();
  for (const LogBlock& block : blocks) {
    if (Status written = store.write({&block, 1}); !written.ok()) return fail(written.error());
  }
  print_line("write", events_a_write, events, seconds() - begin, cpu_seconds() - cpu);
  return EXIT_SUCCESS;
}

int measure_scan(RawStore& store) {
  std::string cursor;
  uint64_t events = 0;
  double begin = seconds();
  double cpu = cpu_seconds();
  for (bool end = false; !end;) {
    auto piece = store.scan(ClientId("acme"), "orders", cursor, 2 << 20);
    if (!piece.ok()) return fail(piece.error());
    for (const EventBatch& batch : piece->batches) events += batch.rows();
    cursor = piece->cursor;
    end = piece->end;
  }
  print_line("scan", 0, events, seconds() - begin, cpu_seconds() - cpu);
  return EXIT_SUCCESS;
}

int run(uint64_t events, const std::string& uri) {
  SchemaPtr schema = make_schema();
  SchemaLookup schemas = [&](const ClientId&, const std::string&, uint32_t) { return Result<SchemaPtr>(schema); };
  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage;
  std::unique_ptr<RawStore> store;
  uint64_t first = 0;
  if (uri.empty()) {
    measure_documents(schema, events);
    auto opened = Storage::open(directory.path() / "db", {});
    if (!opened.ok()) return fail(opened.error());
    storage = std::move(*opened);
    store = std::make_unique<EmbeddedRaw>(*storage, schemas);
  }
  for (size_t events_a_write : {10U, 100U, 1000U, 5000U}) {
    if (events_a_write > events) break;
    if (!uri.empty()) {
      auto opened = MongoRaw::open(
          {.uri = uri, .password = {}, .owner = "bench", .batch_documents_max = events_a_write}, schemas);
      if (!opened.ok()) return fail(opened.error());
      store = std::move(*opened);
    }
    uint64_t some = std::min<uint64_t>(events, events_a_write * 500) / events_a_write * events_a_write;
    if (int code = measure_store(*store, schema, events_a_write, first, some); code != 0) return code;
  }
  return measure_scan(*store);
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  return tributary::run(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 50'000, argc > 2 ? argv[2] : "");
}
