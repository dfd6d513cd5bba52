// What capture remembers of a client between runs, in the log's SourceState: bytes of docs/formats/capture-state.md.
//
//   "stream"            StreamState
//   "snapshot/TABLE"    SnapshotState of "public.orders"
//   "reset"             anything: asks for a new epoch at the next connection; removed by it
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/source_epoch.h"
#include "model/position.h"

namespace tributary {

inline constexpr std::string_view reset_state_key = "reset";
std::string snapshot_state_key(std::string_view table);

struct StreamState {
  uint32_t epoch = 0;
  std::string system_identifier;
  uint32_t timeline = 0;
  std::string slot;
  bool publication_ours = false;
  // Every fact at or below it is in the log. Inside a large transaction it is the newest fact's position.
  Position appended;
  // When its transaction committed: with the LSN it tells that transaction from any other that a restored database
  // may have put in its place. 0 before the epoch's first.
  int64_t appended_commit_micros = 0;
  // The slot is never told of a later LSN: one that is ahead of this was moved by somebody else.
  uint64_t confirmed_lsn = 0;

  std::string encode() const;
  static Result<StreamState> decode(std::string_view bytes);
};

// A column as a snapshot read it. A column that the stream has and the snapshot had not, or had otherwise, means
// values that no event tells: the table is read again.
struct SnapshotColumn {
  int16_t number = 0;  // pg_attribute.attnum: dropping and adding a column again changes it
  std::string name;
  uint32_t type = 0;
  int32_t type_modifier = -1;
  // xmin of its row in pg_attribute: an ALTER COLUMN that rewrites the values makes a new one. 0: not known.
  uint32_t version = 0;
  // Of an enum or a composite type, also inside another: the catalog's rows that say what its values look like, each with its
  // version, and `?` behind where transactions that ran since before it may still write as it was. Empty: not known, or none.
  std::string type_rows;
  friend bool operator==(const SnapshotColumn&, const SnapshotColumn&) = default;
};

// A physical table: the table itself, or a leaf of a partitioned one.
struct SnapshotRelation {
  uint32_t oid = 0;
  uint32_t file_node = 0;  // pg_relation_filenode: another one means that rows moved without an event
  // Of a partition: by which rows of pg_inherits it is one (their xmin). A partition that was detached and attached again has
  // others, and changed meanwhile without an event. 0: not known.
  uint32_t attached = 0;
  // Of one that came after its table was read: the transaction since which it is a partition. 0: it was there.
  uint32_t came = 0;
  friend bool operator==(const SnapshotRelation& one, const SnapshotRelation& other) {
    bool same_place = one.attached == other.attached || one.attached == 0 || other.attached == 0;
    return one.oid == other.oid && one.file_node == other.file_node && same_place;
  }
};

struct SnapshotState {
  uint32_t epoch = 0;
  bool done = false;
  std::string domain;  // that its rows are of; empty: not known
  uint32_t table_oid = 0;
  uint64_t publication_mark = 0;  // as ClientContext::publication_marks had it
  Position first;  // of the first chunk
  std::vector<SnapshotColumn> columns;
  std::vector<std::string> key;  // names, in the key's order
  std::vector<SnapshotRelation> relations;  // in the order of reading
  uint32_t next_relation = 0;
  uint64_t next_block = 0;
  uint64_t end_block = 0;  // of the relation being read; rows behind it came after its first chunk
  uint64_t rows = 0;

  std::string encode() const;
  static Result<SnapshotState> decode(std::string_view bytes);
};

}  // namespace tributary
