#include "process/join_state.h"

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;

void put_optional(std::string& out, const std::optional<std::string>& value) {
  put_u8(out, value ? 1 : 0);
  if (value) put_string(out, *value);
}

std::optional<std::string> read_optional(ByteReader& reader) {
  if (reader.u8() == 0) return std::nullopt;
  return std::string(reader.string());
}

}  // namespace

std::string JoinKeyState::encode() const {
  std::string out;
  put_u8(out, format_version);
  for (int64_t count : rows) put_varint_signed(out, count);
  for (int64_t count : queued) put_varint_signed(out, count);
  put_u8(out, pass ? 1 : 0);
  if (!pass) return out;
  put_u8(out, static_cast<uint8_t>(pass->side));
  put_string(out, pass->cursor);
  put_varint(out, pass->changes.size());
  for (const JoinChange& change : pass->changes) {
    put_string(out, change.key);
    put_optional(out, change.before);
    put_optional(out, change.after);
  }
  return out;
}

Result<JoinKeyState> JoinKeyState::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  Error corrupt{ErrorCode::kCorrupt, "what is stored of a join key does not decode"};
  if (reader.u8() != format_version) return corrupt;
  JoinKeyState state;
  for (int64_t& count : state.rows) count = reader.varint_signed();
  for (int64_t& count : state.queued) count = reader.varint_signed();
  if (reader.u8() != 0) {
    JoinPass& pass = state.pass.emplace();
    pass.side = reader.u8() == 0 ? 0 : 1;
    pass.cursor = reader.string();
    uint64_t changes = reader.varint();
    for (uint64_t i = 0; i < changes && reader.ok(); ++i) {
      JoinChange& change = pass.changes.emplace_back();
      change.key = reader.string();
      change.before = read_optional(reader);
      change.after = read_optional(reader);
    }
  }
  if (!reader.ok() || !reader.at_end()) return corrupt;
  return state;
}

std::string encode_queued(const std::optional<std::string>& after) {
  std::string out;
  put_optional(out, after);
  return out;
}

std::optional<std::string> decode_queued(std::string_view bytes) {
  ByteReader reader(bytes);
  return read_optional(reader);
}

}  // namespace tributary
