// Debezium's JSON into columns: bytes and events per second of one core, beside a look at every token of the same bytes by
// simdjson alone.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "codec/connect/debezium_message.h"

namespace tributary {
namespace {

constexpr int messages_count = 10'000;

struct Messages {
  std::vector<std::string> values;
  size_t bytes = 0;
  std::vector<ConnectField> fields;
  SchemaPtr schema;
};

const char* const row_schema =
    R"([{"type":"int64","optional":false,"field":"id"},{"type":"int64","optional":true,"field":"user_id"},
{"type":"string","optional":true,"field":"status"},{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal",
"version":1,"parameters":{"scale":"2","connect.decimal.precision":"12"},"field":"total"},{"type":"int32","optional":true,"field":"quantity"},
{"type":"string","optional":true,"name":"io.debezium.time.ZonedTimestamp","version":1,"field":"placed_at"},
{"type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp","version":1,"field":"shipped_at"},
{"type":"double","optional":true,"field":"discount"},{"type":"boolean","optional":true,"field":"gift"},
{"type":"string","optional":true,"field":"note"},{"type":"string","optional":true,"field":"address"}])";

// Inserts of an order's 11 columns, as the connector writes them.
Messages orders(bool schemas) {
  Messages messages;
  std::string envelope_schema = fmt::format(
      R"({{"type":"struct","fields":[{{"type":"struct","fields":{0},"optional":true,"field":"before"}},{{"type":"struct","fields":{0},"optional":true,"field":"after"}}],"optional":false}})",
      row_schema);
  for (int i = 0; i < messages_count; ++i) {
    std::string payload = fmt::format(
        R"({{"before":null,"after":{{"id":{0},"user_id":{1},"status":"{2}","total":"A+c=","quantity":{3},"placed_at":"2026-01-02T01:04:05.678901Z",)"
        R"("shipped_at":{4},"discount":0.25,"gift":false,"note":"order note number {0}","address":"{3} Long Street, Springfield"}},)"
        R"("source":{{"version":"3.6.1.Final","connector":"postgresql","name":"acme","ts_ms":1795584584680,"snapshot":"false","db":"shop",)"
        R"("sequence":"[\"{5}\",\"{6}\"]","ts_us":1795584584680123,"ts_ns":1795584584680123000,"schema":"public","table":"orders","txId":{1},)"
        R"("lsn":{6},"xmin":null,"origin":null,"origin_lsn":null}},"transaction":null,"op":"c","ts_ms":1795584584775,"ts_us":1795584584775789,)"
        R"("ts_ns":1795584584775789417}})",
        i, i * 7919 % 100'000, i % 3 == 0 ? "pending" : "shipped", i % 7, 1767323045678901 + i, 92380928 + i * 100,
        92380950 + i * 100);
    messages.values.push_back(schemas ? fmt::format(R"({{"schema":{},"payload":{}}})", envelope_schema, payload)
                                      : payload);
    messages.bytes += messages.values.back().size();
  }
  messages.fields = *connect_row_fields(envelope_schema);
  messages.schema =
      std::make_shared<TableSchema>(*debezium_table("public.orders", messages.fields, {"id"}, OldImage::kKey));
  return messages;
}

void count(benchmark::State& state, const Messages& messages) {
  auto rounds = static_cast<int64_t>(state.iterations());
  state.SetBytesProcessed(rounds * static_cast<int64_t>(messages.bytes));
  state.counters["events/s"] =
      benchmark::Counter(static_cast<double>(rounds * messages_count), benchmark::Counter::kIsRate);
}

void decode(benchmark::State& state, bool schemas) {
  Messages messages = orders(schemas);
  DebeziumReader reader{ConnectModes{}};
  for (auto _ : state) {
    EventBatch batch(ClientId{"acme"}, "orders", messages.schema);
    for (const std::string& value : messages.values) {
      auto event = reader.open(value);
      CHECK(event.ok() && (*event)->kind == DebeziumKind::kRow);
      Status read = reader.append_row(batch, messages.fields, {});
      CHECK(read.ok(), "{}", read.error().message);
    }
    benchmark::DoNotOptimize(batch.columns);
  }
  count(state, messages);
}

size_t tokens(simdjson::ondemand::value value) {
  size_t found = 1;
  switch (value.type()) {
    case simdjson::ondemand::json_type::object:
      for (auto field : value.get_object()) found += tokens(field.value());
      break;
    case simdjson::ondemand::json_type::array:
      for (auto element : value.get_array()) found += tokens(element.value());
      break;
    default: found += value.raw_json_token().size() & 1; break;
  }
  return found;
}

void parse(benchmark::State& state, bool schemas) {
  Messages messages = orders(schemas);
  std::vector<simdjson::padded_string> padded;
  for (const std::string& value : messages.values) padded.emplace_back(value);
  simdjson::ondemand::parser parser;
  for (auto _ : state) {
    size_t found = 0;
    for (const simdjson::padded_string& value : padded) {
      simdjson::ondemand::document document = parser.iterate(value);
      for (auto field : document.get_object()) found += tokens(field.value());
    }
    benchmark::DoNotOptimize(found);
  }
  count(state, messages);
}

BENCHMARK_CAPTURE(decode, without_schemas, false);
BENCHMARK_CAPTURE(parse, without_schemas, false);
BENCHMARK_CAPTURE(decode, with_schemas, true);
BENCHMARK_CAPTURE(parse, with_schemas, true);

}  // namespace
}  // namespace tributary
