// Debezium's JSON: the value and key that Debezium's PostgreSQL connector writes for a change when its converters run
// without schemas (`schemas.enable=false`), so that what reads Debezium's topics reads ours (docs/formats/event.md).
//
//   debezium_key(batch, 0)                → {"id":7}
//   debezium_envelope(batch, 0, source)   → {"before":null,"after":{"id":7,"total":"12.50"},"source":{…},"op":"c",…}
//
// Pure and thread-safe. The connector's default modes, except decimal.handling.mode=string.
#pragma once

#include <cstdint>
#include <string>

#include "model/event_batch.h"

namespace tributary {

// In place of a value that the source did not send (unchanged TOAST), as the connector's unavailable.value.placeholder.
constexpr std::string_view debezium_unavailable_value = "__debezium_unavailable_value";
constexpr std::string_view debezium_connector = "postgresql";
constexpr std::string_view debezium_version = "tributary-0.1.0";  // `source.version`

struct DebeziumSource {
  std::string name;  // `source.name`, the topic prefix: the pipeline's and client's name
  std::string database;  // `source.db`
  int64_t processed_micros = 0;  // `ts_ms`, `ts_us`, `ts_ns` of the envelope; 0: the commit's
};

// `row` < batch.rows(). A key change is two rows of the batch and two envelopes: "d" of the old key, "c" of the new one.
std::string debezium_envelope(const EventBatch& batch, size_t row, const DebeziumSource& source);
// The row key's columns as one object.
std::string debezium_key(const EventBatch& batch, size_t row);
// A TRUNCATE (op "t"), batch.ranges[range]. Empty for other range facts: Debezium has no such event.
std::string debezium_truncate(const EventBatch& batch, size_t range, const DebeziumSource& source);

}  // namespace tributary
