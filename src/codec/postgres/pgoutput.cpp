#include "codec/postgres/pgoutput.h"

#include "base/bytes.h"

namespace tributary {
namespace {

// MaxTupleAttributeNumber of PostgreSQL's htup_details.h.
constexpr uint16_t columns_max = 1664;
// More relations than one TRUNCATE can name sanely; the real bound is the message's length.
constexpr uint32_t truncated_relations_max = 1 << 20;

bool read_cells(ByteReader& reader, std::vector<PgCell>& cells) {
  uint16_t count = reader.u16_big();
  if (!reader.ok() || count > columns_max) return false;
  cells.resize(count);
  for (PgCell& cell : cells) {
    switch (reader.u8()) {
      case 'n': cell = {PgCell::Kind::kNull, {}}; break;
      case 'u': cell = {PgCell::Kind::kUnchanged, {}}; break;
      case 't': {
        uint32_t size = reader.u32_big();
        cell.kind = PgCell::Kind::kText;
        cell.text = reader.bytes(size);
        break;
      }
      default: return false;  // 'b', binary, is never asked for
    }
  }
  return reader.ok();
}

bool read_relation(ByteReader& reader, PgRelation& relation) {
  relation.oid = reader.u32_big();
  relation.schema = reader.c_string();
  if (relation.schema.empty()) relation.schema = "pg_catalog";  // how the protocol abbreviates it
  relation.name = reader.c_string();
  relation.replica_identity = static_cast<char>(reader.u8());
  uint16_t count = reader.u16_big();
  if (!reader.ok() || count > columns_max) return false;
  relation.columns.clear();
  for (uint16_t i = 0; i < count && reader.ok(); ++i) {
    PgRelationColumn column;
    column.key = (reader.u8() & 1) != 0;
    column.name = reader.c_string();
    column.type = reader.u32_big();
    column.type_modifier = static_cast<int32_t>(reader.u32_big());
    relation.columns.push_back(std::move(column));
  }
  return reader.ok() && std::string_view("dnfi").find(relation.replica_identity) != std::string_view::npos;
}

bool read_update(ByteReader& reader, PgMessage& out) {
  out.relation = reader.u32_big();
  out.old_image = 0;
  uint8_t part = reader.u8();
  if (part == 'K' || part == 'O') {
    out.old_image = static_cast<char>(part);
    if (!read_cells(reader, out.old_cells)) return false;
    part = reader.u8();
  }
  return part == 'N' && read_cells(reader, out.new_cells);
}

bool read_delete(ByteReader& reader, PgMessage& out) {
  out.relation = reader.u32_big();
  uint8_t part = reader.u8();
  out.old_image = static_cast<char>(part);
  return (part == 'K' || part == 'O') && read_cells(reader, out.old_cells);
}

bool read_truncate(ByteReader& reader, PgMessage& out) {
  uint32_t count = reader.u32_big();
  reader.u8();  // CASCADE, RESTART IDENTITY: every relation that was emptied is listed
  if (!reader.ok() || count > truncated_relations_max || count > reader.remaining() / 4) return false;
  out.truncated.resize(count);
  for (uint32_t& oid : out.truncated) oid = reader.u32_big();
  return true;
}

bool read_message(ByteReader& reader, PgMessage& out) {
  out.transactional = (reader.u8() & 1) != 0;
  out.message_lsn = reader.u64_big();
  out.prefix = reader.c_string();
  uint32_t size = reader.u32_big();
  out.content = reader.bytes(size);
  return reader.ok();
}

void read_commit(ByteReader& reader, PgMessage& out) {
  reader.u8();  // flags: none defined
  out.commit_lsn = reader.u64_big();
  out.end_lsn = reader.u64_big();
  out.commit_micros = static_cast<int64_t>(reader.u64_big() + postgres_epoch_micros);
}

bool read_body(ByteReader& reader, PgMessage& out) {
  switch (out.kind) {
    case PgMessageKind::kBegin:
      out.commit_lsn = reader.u64_big();
      out.commit_micros = static_cast<int64_t>(reader.u64_big() + postgres_epoch_micros);
      out.transaction = reader.u32_big();
      return true;
    case PgMessageKind::kCommit: read_commit(reader, out); return true;
    case PgMessageKind::kOrigin:
      reader.u64_big();
      reader.c_string();
      return true;
    case PgMessageKind::kRelation: return read_relation(reader, out.table);
    case PgMessageKind::kType:  // names of types are asked from the catalog
      reader.u32_big();
      reader.c_string();
      reader.c_string();
      return true;
    case PgMessageKind::kInsert:
      out.relation = reader.u32_big();
      out.old_image = 0;
      return reader.u8() == 'N' && read_cells(reader, out.new_cells);
    case PgMessageKind::kUpdate: return read_update(reader, out);
    case PgMessageKind::kDelete: return read_delete(reader, out);
    case PgMessageKind::kTruncate: return read_truncate(reader, out);
    case PgMessageKind::kMessage: return read_message(reader, out);
    case PgMessageKind::kStreamStart:
      out.transaction = reader.u32_big();
      out.first_segment = reader.u8() == 1;
      return true;
    case PgMessageKind::kStreamStop: return true;
    case PgMessageKind::kStreamCommit:
      out.transaction = reader.u32_big();
      read_commit(reader, out);
      return true;
    case PgMessageKind::kStreamAbort:
      out.transaction = reader.u32_big();
      out.subtransaction = reader.u32_big();
      return true;
  }
  return false;
}

bool known_kind(uint8_t type) {
  return std::string_view("BMCORYIUDTSEcA").find(static_cast<char>(type)) != std::string_view::npos;
}

// Messages of a stream that bring their own transaction id or none.
bool stream_control(PgMessageKind kind) {
  return kind == PgMessageKind::kStreamStart || kind == PgMessageKind::kStreamStop ||
         kind == PgMessageKind::kStreamCommit || kind == PgMessageKind::kStreamAbort;
}

}  // namespace

Status decode_pgoutput(std::string_view bytes, bool in_stream, PgMessage& out) {
  ByteReader reader(bytes);
  uint8_t type = reader.u8();
  auto refused = [&](std::string_view why) {
    return Error{ErrorCode::kCorrupt, fmt::format("replication message of type 0x{:02x}, {} bytes: {} at byte {}", type,
                                                  bytes.size(), why, reader.position())};
  };
  if (!reader.ok()) return refused("empty");
  if (!known_kind(type)) return refused("unknown type");
  out.kind = static_cast<PgMessageKind>(type);
  if (in_stream && !stream_control(out.kind)) out.transaction = reader.u32_big();
  if (!read_body(reader, out)) return refused(reader.ok() ? "impossible content" : "truncated");
  if (!reader.ok()) return refused("truncated");
  if (!reader.at_end()) return refused("bytes behind its end");
  return {};
}

}  // namespace tributary
