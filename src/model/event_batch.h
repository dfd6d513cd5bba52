// EventBatch: facts of one table of one client, written under one schema version, in columns.
//
// A row is one fact about one row key. What its cells say depends on its op:
//   create, update, snapshot   the row after the change; an update's unchanged TOAST values are absent
//   delete                     the row before: its key and, under OldImage::kFull, the rest; otherwise absent
// A key change is two facts on one position: a delete of the old key and a create of the new one. The create
// remembers the old key (`moved`), under which its absent values live; the delete remembers the new one.
//
// A RangeFact says that of the keys in [low, high) whatever is older than its position is gone: TRUNCATE (the whole
// range), a finished snapshot (the whole range, at the position it began), a row read again by its key and not found.
//
// Order within a batch has no meaning: facts converge.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/strong.h"
#include "model/column.h"
#include "model/position.h"
#include "model/schema.h"

namespace tributary {

enum class Op : uint8_t { kCreate = 'c', kUpdate = 'u', kDelete = 'd', kSnapshot = 'r' };

enum class RangeKind : uint8_t { kTruncate = 't', kAbsence = 'a' };

struct RangeFact {
  RangeKind kind = RangeKind::kTruncate;
  Position position;      // whatever is older falls
  std::string low;        // row key bytes, inclusive; empty: from the first key
  std::string high;       // exclusive; empty: to the last key
  int64_t commit_micros = 0;
  uint64_t transaction = 0;

  bool covers(std::string_view key) const { return key >= low && (high.empty() || key < high); }
  friend bool operator==(const RangeFact&, const RangeFact&) = default;
};

struct EventBatch {
  // One entry a key change: the row of the batch and the other key.
  struct Moved {
    uint32_t row;
    std::string key;
    friend bool operator==(const Moved&, const Moved&) = default;
  };

  ClientId client;
  std::string domain;  // "orders"
  SchemaPtr schema;

  std::vector<Op> ops;
  std::vector<Position> positions;
  std::vector<int64_t> commit_micros;      // UTC microseconds since 1970 of the commit
  std::vector<uint64_t> transactions;      // source's transaction id (PostgreSQL: xid)
  std::vector<Column> columns;             // schema->columns.size() of them
  std::vector<Column> before;              // empty, or as many: the row before, for updates under OldImage::kFull
  std::vector<Moved> moved;                // by row, ascending
  std::vector<RangeFact> ranges;

  EventBatch() = default;
  EventBatch(ClientId client_id, std::string domain_name, SchemaPtr table_schema);

  size_t rows() const { return ops.size(); }
  bool empty() const { return ops.empty() && ranges.empty(); }
  size_t value_bytes() const;

  // Row key bytes of `row`, appended to `out`.
  void append_row_key(std::string& out, size_t row) const;
  std::string row_key(size_t row) const;
  const std::string* moved_key(size_t row) const;  // nullptr: not a key change

  // Appends row `row` of `other`, which has the same schema, with its before image and moved key.
  void append_row(const EventBatch& other, size_t row);

  // Every column has as many rows as `ops`, and the key columns have values. For tests and after decoding.
  Status validate() const;
};

// "created", "updated", "deleted", "snapshot": the second half of an event's name.
std::string_view op_event_name(Op op);

}  // namespace tributary
