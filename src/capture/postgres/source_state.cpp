#include "capture/postgres/source_state.h"

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 2;
constexpr uint8_t snapshot_version = 5;
constexpr uint64_t entries_max = 1 << 20;  // partitions or columns: more is corruption

Error corrupt(std::string_view what) {
  return {ErrorCode::kCorrupt,
          fmt::format("capture's stored {} does not decode; a newer program may have written it", what)};
}

Position read_position(ByteReader& reader) {
  return Position::decode(reader.bytes(Position::encoded_bytes)).value_or(Position{});
}

}  // namespace

std::string snapshot_state_key(std::string_view table) { return fmt::format("snapshot/{}", table); }

std::string StreamState::encode() const {
  std::string out;
  put_u8(out, format_version);
  put_u32(out, epoch);
  put_string(out, system_identifier);
  put_u32(out, timeline);
  put_string(out, slot);
  put_u8(out, publication_ours ? 1 : 0);
  appended.append_to(out);
  put_u64(out, static_cast<uint64_t>(appended_commit_micros));
  put_u64(out, confirmed_lsn);
  return out;
}

namespace {

// Version 1 was written without the commit's time and, later, with it: its length tells.
Result<StreamState> decode_stream(std::string_view bytes, bool with_commit_time) {
  ByteReader reader(bytes);
  reader.u8();
  StreamState state;
  state.epoch = reader.u32();
  state.system_identifier = reader.string();
  state.timeline = reader.u32();
  state.slot = reader.string();
  state.publication_ours = reader.u8() != 0;
  state.appended = read_position(reader);
  if (with_commit_time) state.appended_commit_micros = static_cast<int64_t>(reader.u64());
  state.confirmed_lsn = reader.u64();
  if (!reader.ok() || !reader.at_end()) return corrupt("stream state");
  return state;
}

}  // namespace

Result<StreamState> StreamState::decode(std::string_view bytes) {
  uint8_t version = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  if (version == 0 || version > format_version) return corrupt("stream state");
  Result<StreamState> state = decode_stream(bytes, true);
  if (!state.ok() && version == 1) state = decode_stream(bytes, false);
  return state;
}

std::string SnapshotState::encode() const {
  std::string out;
  put_u8(out, snapshot_version);
  put_u32(out, epoch);
  put_u8(out, done ? 1 : 0);
  put_u32(out, table_oid);
  put_u64(out, publication_mark);
  first.append_to(out);
  put_varint(out, columns.size());
  for (const SnapshotColumn& column : columns) {
    put_u16(out, static_cast<uint16_t>(column.number));
    put_string(out, column.name);
    put_u32(out, column.type);
    put_u32(out, static_cast<uint32_t>(column.type_modifier));
    put_u32(out, column.version);
    put_string(out, column.type_rows);
  }
  put_varint(out, key.size());
  for (const std::string& name : key) put_string(out, name);
  put_varint(out, relations.size());
  for (const SnapshotRelation& relation : relations) {
    put_u32(out, relation.oid);
    put_u32(out, relation.file_node);
    put_u32(out, relation.attached);
    put_u32(out, relation.came);
  }
  put_varint(out, next_relation);
  put_varint(out, next_block);
  put_varint(out, end_block);
  put_varint(out, rows);
  put_string(out, domain);
  return out;
}

namespace {

// Version 1 was written without the publication mark and, later, with it: its length tells.
Result<SnapshotState> decode_snapshot(std::string_view bytes, bool with_mark) {
  ByteReader reader(bytes);
  uint8_t version = reader.u8();
  SnapshotState state;
  state.epoch = reader.u32();
  state.done = reader.u8() != 0;
  state.table_oid = reader.u32();
  if (with_mark) state.publication_mark = reader.u64();
  state.first = read_position(reader);
  uint64_t columns = reader.varint();
  for (uint64_t i = 0; i < columns && reader.ok() && i < entries_max; ++i) {
    SnapshotColumn column;
    column.number = static_cast<int16_t>(reader.u16());
    column.name = reader.string();
    column.type = reader.u32();
    column.type_modifier = static_cast<int32_t>(reader.u32());
    if (version >= 2) {
      column.version = reader.u32();
      column.type_rows = reader.string();
      if (version < 5) column.type_rows.clear();  // labels of enums
    }
    state.columns.push_back(std::move(column));
  }
  uint64_t keys = reader.varint();
  for (uint64_t i = 0; i < keys && reader.ok() && i < entries_max; ++i) state.key.emplace_back(reader.string());
  uint64_t relations = reader.varint();
  for (uint64_t i = 0; i < relations && reader.ok() && i < entries_max; ++i) {
    SnapshotRelation& relation = state.relations.emplace_back();
    relation.oid = reader.u32();
    relation.file_node = reader.u32();
    if (version >= 3) relation.attached = reader.u32();
    if (version >= 4) relation.came = reader.u32();
  }
  state.next_relation = static_cast<uint32_t>(reader.varint());
  state.next_block = reader.varint();
  state.end_block = reader.varint();
  state.rows = reader.varint();
  if (version >= 4) state.domain = reader.string();
  if (!reader.ok() || !reader.at_end()) return corrupt("snapshot state");
  return state;
}

}  // namespace

Result<SnapshotState> SnapshotState::decode(std::string_view bytes) {
  uint8_t version = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  if (version == 0 || version > snapshot_version) return corrupt("snapshot state");
  Result<SnapshotState> state = decode_snapshot(bytes, true);
  if (!state.ok() && version == 1) state = decode_snapshot(bytes, false);
  return state;
}

}  // namespace tributary
