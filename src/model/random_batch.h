// Random event batches for tests and benchmarks: all types, all cell states, before images, key changes, range facts.
// The same seed gives the same batches.
//
//   RandomBatch random(seed);
//   SchemaPtr schema = random.schema("public.things");
//   EventBatch batch = random.batch(ClientId("acme"), "things", schema, 100);
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <string>

#include "base/random.h"
#include "model/event_batch.h"

namespace tributary {

class RandomBatch {
 public:
  explicit RandomBatch(uint64_t seed) : random_(seed) {}

  uint64_t next() { return random_.next(); }
  uint64_t below(uint64_t bound) { return random_.below(bound); }
  bool one_in(uint64_t n) { return random_.one_in(n); }

  // A key column "id" and one column of each type, the last ones repeated at random.
  SchemaPtr schema(const std::string& table, uint32_t version = 1) {
    auto schema = std::make_shared<TableSchema>();
    schema->table = table;
    schema->version = version;
    schema->columns.push_back({"id", {TypeId::kInt64}, "bigint", true, false});
    for (int id = 1; id <= static_cast<int>(TypeId::kBigDecimal); ++id) {
      LogicalType type{static_cast<TypeId>(id)};
      if (type.id == TypeId::kDecimal) type = {TypeId::kDecimal, 20, 4};
      if (type.id == TypeId::kBigDecimal) type = {TypeId::kBigDecimal, 60, 10};
      schema->columns.push_back({"c" + std::to_string(id), type, type.to_string(), false, type.is_variable()});
    }
    schema->key_columns = {0};
    return schema;
  }

  EventBatch batch(const ClientId& client, const std::string& domain, const SchemaPtr& schema, size_t rows,
                   uint64_t keys = 50) {
    EventBatch out(client, domain, schema);
    bool has_before = one_in(3);
    if (has_before) {
      for (const ColumnSchema& column : schema->columns) out.before.emplace_back(column.type);
    }
    Position position{static_cast<uint32_t>(1 + below(2)), below(1000), below(1000), 0};
    bool snapshot = one_in(5);
    for (uint32_t row = 0; row < rows; ++row) {
      if (!snapshot) advance(position);
      out.ops.push_back(snapshot ? Op::kSnapshot : std::array{Op::kCreate, Op::kUpdate, Op::kDelete}[below(3)]);
      out.positions.push_back(position);
      out.commit_micros.push_back(static_cast<int64_t>(one_in(50) ? next() : 1'700'000'000'000'000 + below(1'000'000)));
      out.transactions.push_back(one_in(50) ? next() : 700 + below(100));
      for (size_t i = 0; i < schema->columns.size(); ++i) {
        if (i == 0) {
          out.columns[0].append_fixed<int64_t>(static_cast<int64_t>(below(keys)));
        } else {
          append_cell(out.columns[i]);
        }
        if (has_before) append_cell(out.before[i]);
      }
      if (one_in(10)) out.moved.push_back({row, text(8)});
    }
    while (one_in(4)) {
      out.ranges.push_back({one_in(2) ? RangeKind::kTruncate : RangeKind::kAbsence, position, text(3), text(3),
                            static_cast<int64_t>(next()), next()});
    }
    return out;
  }

  std::string text(size_t size_max) {
    std::string out(below(size_max + 1), '\0');
    for (char& c : out) c = static_cast<char>(next());
    return out;
  }

 private:
  void advance(Position& position) {
    switch (below(4)) {
      case 0: position.commit += below(1000); [[fallthrough]];
      case 1: position.change += below(300); [[fallthrough]];
      case 2: position.ordinal += 1; break;
      default: break;  // two events may share a position
    }
  }

  // Mostly values, sometimes columns of one state only (by type, so that it differs between columns).
  void append_cell(Column& column) {
    switch (below(8)) {
      case 0: column.append_null(); return;
      case 1: column.append_absent(); return;
      case 2: column.append_text(text(12)); return;
      default: append_value(column);
    }
  }

  void append_value(Column& column) {
    switch (column.type().id) {
      case TypeId::kBool: column.append_fixed<uint8_t>(static_cast<uint8_t>(below(2))); return;
      case TypeId::kInt16: column.append_fixed<int16_t>(static_cast<int16_t>(next())); return;
      case TypeId::kInt32: column.append_fixed<int32_t>(static_cast<int32_t>(next())); return;
      case TypeId::kInt64: column.append_fixed<int64_t>(static_cast<int64_t>(next())); return;
      case TypeId::kUInt64: column.append_fixed<uint64_t>(next()); return;
      case TypeId::kFloat32: column.append_fixed<float>(special_float()); return;
      case TypeId::kFloat64: column.append_fixed<double>(special_double()); return;
      case TypeId::kDecimal: append_decimal(column); return;
      case TypeId::kDate: column.append_fixed<int32_t>(static_cast<int32_t>(below(40000)) - 10000); return;
      case TypeId::kTimestamp:
      case TypeId::kTimestampTz: column.append_fixed<int64_t>(static_cast<int64_t>(next()) / 4); return;
      case TypeId::kUuid: {
        std::string bytes;
        for (int i = 0; i < 16; ++i) bytes.push_back(static_cast<char>(next()));
        column.append_bytes(bytes);
        return;
      }
      case TypeId::kText:
      case TypeId::kBytes: column.append_bytes(text(20)); return;
      case TypeId::kJson: column.append_bytes("{\"n\":" + std::to_string(next()) + "}"); return;
      case TypeId::kBigDecimal: column.append_bytes(std::to_string(next()) + std::to_string(next()) + ".5"); return;
    }
  }

  void append_decimal(Column& column) {
    auto value = static_cast<int64_t>(next());
    if (one_in(10)) {
      column.append_decimal(Int128{value} * 10'000, static_cast<uint16_t>(below(9)));
    } else {
      column.append_fixed<Int128>(value);
    }
  }

  float special_float() {
    switch (below(4)) {
      case 0: return -0.0F;
      case 1: return std::bit_cast<float>(0x7FC01234U);  // a NaN with a payload
      default: return static_cast<float>(static_cast<int64_t>(next())) / 3;
    }
  }
  double special_double() {
    switch (below(4)) {
      case 0: return -0.0;
      case 1: return std::bit_cast<double>(0xFFF8000000000123U);
      case 2: return -std::numeric_limits<double>::infinity();
      default: return static_cast<double>(static_cast<int64_t>(next())) / 7;
    }
  }

  Random random_;
};

// The same facts, bit for bit and in the same order.
inline bool same_events(const EventBatch& a, const EventBatch& b) {
  if (a.client != b.client || a.domain != b.domain || a.ops != b.ops || a.positions != b.positions ||
      a.commit_micros != b.commit_micros || a.transactions != b.transactions || a.moved != b.moved ||
      a.ranges != b.ranges || a.columns.size() != b.columns.size() || a.before.size() != b.before.size()) {
    return false;
  }
  auto same_cells = [](const std::vector<Column>& x, const std::vector<Column>& y) {
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i].type() != y[i].type() || x[i].rows() != y[i].rows()) return false;
      for (size_t row = 0; row < x[i].rows(); ++row) {
        if (!x[i].same_cell(row, y[i], row)) return false;
        if (x[i].is_value(row) && x[i].shown_scale(row) != y[i].shown_scale(row)) return false;
      }
    }
    return true;
  };
  return same_cells(a.columns, b.columns) && same_cells(a.before, b.before);
}

}  // namespace tributary
