// Tuples of one client's tables → batches of facts.
//
// A tuple has one cell a column, in the order of the table's schema (which was made from the relation message that came
// before it). What an update leaves out:
//   unchanged TOAST value     absent, unless the old row came along (REPLICA IDENTITY FULL): then its value
//   key column left out       its value from the old key
// A changed key makes two facts at one position: the old key's delete and the new key's create, each naming the other.
//
// Not thread-safe. After an error (kCorrupt: the tuple does not fit its table, or has no key) nothing was added.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "codec/postgres/pgoutput.h"
#include "codec/postgres/server_text.h"
#include "model/event_batch.h"

namespace tributary {

// Where the facts of a relation go.
struct TableTarget {
  SchemaPtr schema;
  std::string domain;
};

struct FactOrigin {
  Position position;
  int64_t commit_micros = 0;
  uint64_t transaction = 0;
};

class RowFacts {
 public:
  using Cells = std::vector<PgCell>;

  // `text` says what cells' bytes are, and outlives this.
  RowFacts(ClientId client, const ServerText& text) : client_(std::move(client)), text_(text) {}

  Status add_insert(const TableTarget& target, const FactOrigin& origin, const Cells& row) {
    return add_row(target, origin, Op::kCreate, row);
  }
  // A row that was read, by a snapshot or by its key.
  Status add_snapshot(const TableTarget& target, const FactOrigin& origin, const Cells& row) {
    return add_row(target, origin, Op::kSnapshot, row);
  }
  // `old_image` as in PgMessage.
  Status add_update(const TableTarget& target, const FactOrigin& origin, char old_image, const Cells& old_row,
                    const Cells& new_row);
  Status add_delete(const TableTarget& target, const FactOrigin& origin, char old_image, const Cells& old_row);
  void add_range(const TableTarget& target, RangeFact range);

  bool empty() const { return facts_ == 0; }
  size_t facts() const { return facts_; }
  // About what the facts hold: the bytes of their values as they came.
  size_t bytes() const { return bytes_; }
  // The batches, one a (table, schema version), and starts afresh.
  std::vector<EventBatch> take();

 private:
  void append_cell(Column& column, const PgCell& cell);
  EventBatch& batch_of(const TableTarget& target);
  Status add_row(const TableTarget& target, const FactOrigin& origin, Op op, const Cells& row);
  void append(EventBatch& batch, const FactOrigin& origin, Op op, const Cells& row, const Cells* before);
  void append_old(EventBatch& batch, const FactOrigin& origin, char old_image, const Cells& old_row);

  ClientId client_;
  const ServerText& text_;
  std::string scratch_;
  std::vector<EventBatch> batches_;
  size_t last_ = 0;  // the batch that took the newest fact: nearly always the next one's too
  size_t facts_ = 0;
  size_t bytes_ = 0;
  Cells merged_;
};

// The row key bytes of a tuple whose key columns have values.
std::string row_key_of(const TableSchema& schema, const std::vector<PgCell>& row, const ServerText& text);

}  // namespace tributary
