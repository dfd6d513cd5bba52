// pgoutput: the messages of PostgreSQL's logical replication, protocol versions 1 and 2, decoded from bytes.
//
// The format is that of PostgreSQL's documentation, "Logical Replication Message Formats": a type byte and fields in
// network order. Between Stream Start and Stream Stop every message but those two carries, after its type byte, the id of
// the (sub)transaction that it belongs to; the caller says whether it stands inside such a stream.
//
//   PgMessage message;                          // reused: keeps its vectors' memory
//   RETURN_IF_ERROR(decode_pgoutput(bytes, in_stream, message));
//   if (message.kind == PgMessageKind::kInsert) use(message.relation, message.new_cells);
//
// Bytes are not trusted: whatever they are, the answer is a message that was read whole or an error (kCorrupt).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tributary {

enum class PgMessageKind : uint8_t {
  kBegin = 'B',
  kMessage = 'M',  // pg_logical_emit_message
  kCommit = 'C',
  kOrigin = 'O',
  kRelation = 'R',
  kType = 'Y',
  kInsert = 'I',
  kUpdate = 'U',
  kDelete = 'D',
  kTruncate = 'T',
  kStreamStart = 'S',
  kStreamStop = 'E',
  kStreamCommit = 'c',
  kStreamAbort = 'A',
};

// A value as it came: NULL, an unchanged TOAST value that was not sent, or PostgreSQL's text of it.
struct PgCell {
  enum class Kind : char { kNull = 'n', kUnchanged = 'u', kText = 't' };
  Kind kind = Kind::kNull;
  std::string_view text;  // into the bytes that were decoded
};

struct PgRelationColumn {
  std::string name;
  uint32_t type = 0;  // pg_type.oid
  int32_t type_modifier = -1;  // pg_attribute.atttypmod
  bool key = false;  // part of the replica identity; under FULL every column is
  friend bool operator==(const PgRelationColumn&, const PgRelationColumn&) = default;
};

// A table as it was when the changes after this message were made.
struct PgRelation {
  uint32_t oid = 0;
  std::string schema;
  std::string name;
  char replica_identity = 'd';  // pg_class.relreplident: d default, n nothing, f full, i index
  std::vector<PgRelationColumn> columns;
  friend bool operator==(const PgRelation&, const PgRelation&) = default;
};

// Which fields are set depends on `kind`; the others hold what an earlier message left in them.
struct PgMessage {
  PgMessageKind kind = PgMessageKind::kOrigin;

  // In a stream: the (sub)transaction of any message. Begin, Stream Start, Commit and Abort: the transaction.
  uint32_t transaction = 0;
  uint32_t subtransaction = 0;  // Stream Abort: what is undone; the transaction itself where equal
  bool first_segment = false;  // Stream Start

  uint64_t commit_lsn = 0;  // Begin, Commit, Stream Commit: where the commit record begins
  uint64_t end_lsn = 0;  // Commit, Stream Commit: where it ends
  int64_t commit_micros = 0;  // Begin, Commit, Stream Commit: UTC microseconds since 1970

  uint32_t relation = 0;  // Insert, Update, Delete
  char old_image = 0;  // Update, Delete: 'K' the old key, 'O' the whole old row, 0 neither
  std::vector<PgCell> old_cells;  // where old_image is not 0
  std::vector<PgCell> new_cells;  // Insert, Update

  std::vector<uint32_t> truncated;  // Truncate: the relations

  PgRelation table;  // Relation

  bool transactional = false;  // Message
  uint64_t message_lsn = 0;  // Message
  std::string_view prefix;  // Message
  std::string_view content;  // Message
};

// Decodes one message. `in_stream`: it stands between Stream Start and Stream Stop. Views in `out` point into `bytes`.
// After an error the content of `out` is unspecified.
Status decode_pgoutput(std::string_view bytes, bool in_stream, PgMessage& out);

// PostgreSQL counts microseconds from 2000-01-01.
constexpr int64_t postgres_epoch_micros = 946'684'800'000'000;

}  // namespace tributary
