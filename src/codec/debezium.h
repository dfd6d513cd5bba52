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
#include <vector>

#include "model/event_batch.h"

namespace tributary {

constexpr std::string_view debezium_connector = "postgresql";
constexpr std::string_view debezium_version = "tributary-0.1.0";  // `source.version`

struct DebeziumSource {
  std::string name;  // `source.name`, the topic prefix: the pipeline's and client's name
  std::string database;  // `source.db`
  int64_t processed_micros = 0;  // `ts_ms`, `ts_us`, `ts_ns` of the envelope; 0: the commit's
};

// Writes many events of one batch, which outlives it. Not thread-safe.
class DebeziumWriter {
 public:
  DebeziumWriter(const EventBatch& batch, const DebeziumSource& source);

  // `row` < batch.rows(). A key change is two rows of the batch and two envelopes: "d" of the old key, "c" of the new one.
  // `exact`, where given, gets what the envelope does not tell of the row, as docs/formats/kafka-record.md has it; nothing
  // where it tells all.
  void put_envelope(std::string& out, size_t row, std::string* exact = nullptr);
  // The row key's columns as one object, behind the client where `with_client`: {"client_id":"acme","id":7}.
  void put_key(std::string& out, size_t row, bool with_client = false) const;
  // A TRUNCATE (op "t"), batch.ranges[range]. Nothing for other range facts: Debezium has no such event.
  void put_truncate(std::string& out, size_t range);

 private:
  enum class Absent { kNull, kUnavailable };
  struct Fact {
    bool same_tail(const Fact& other) const {
      return position.commit == other.position.commit && commit_micros == other.commit_micros &&
             transaction == other.transaction && op == other.op;
    }
    Position position;
    int64_t commit_micros = 0;
    uint64_t transaction = 0;
    char op = 0;
  };
  void put_row(std::string& out, const std::vector<Column>& columns, size_t row, Absent absent, bool filled);
  void put_tail(std::string& out, const Fact& fact);
  void begin_tail(const Fact& fact);
  void note(size_t image, size_t column, size_t row);
  bool has_before(size_t row) const;
  bool only_key(size_t row) const;
  void begin_exact(size_t row, bool before_is_told);

  const EventBatch& batch_;
  int64_t processed_micros_;
  std::vector<std::string> names_;  // {"id":  and ,"total":
  std::string source_begin_;  // up to the value of ts_ms
  std::string source_middle_;  // from db to the beginning of the sequence
  std::string source_end_;  // from schema to the value of txId
  // Written once for all facts with the same tail: a transaction's.
  Fact tail_of_;
  std::string tail_begin_;
  std::string tail_middle_;
  std::string tail_end_;
  std::string* exact_ = nullptr;
  bool rest_absent_ = false;
};

// One event alone.
std::string debezium_envelope(const EventBatch& batch, size_t row, const DebeziumSource& source);
std::string debezium_key(const EventBatch& batch, size_t row);
std::string debezium_truncate(const EventBatch& batch, size_t range, const DebeziumSource& source);

// What put_envelope() notes in `exact`: version, flags, then cells (docs/formats/kafka-record.md).
constexpr uint8_t debezium_exact_version = 1;
enum DebeziumExactFlag : uint8_t { kExactRestAbsent = 1, kExactMoved = 2 };
enum DebeziumImage : uint8_t { kImageRow = 0, kImageBefore = 1 };

}  // namespace tributary
