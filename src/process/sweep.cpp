#include "process/sweep.h"

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;

}  // namespace

const std::string* Sweeps::old_attributes_of(std::string_view key) const {
  for (const Sweep& sweep : list) {
    if (sweep.attributes && key >= sweep.cursor) return &sweep.old_attributes;
  }
  return nullptr;
}

std::string Sweeps::encode() const {
  std::string out;
  put_u8(out, format_version);
  put_varint(out, list.size());
  for (const Sweep& sweep : list) {
    put_u8(out, sweep.attributes ? 1 : 0);
    put_string(out, sweep.cursor);
    put_string(out, sweep.high);
    put_string(out, sweep.old_attributes);
  }
  return out;
}

Result<Sweeps> Sweeps::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  Error corrupt{ErrorCode::kCorrupt, "stored sweeps do not decode"};
  if (reader.u8() != format_version) return corrupt;
  Sweeps sweeps;
  uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    Sweep& sweep = sweeps.list.emplace_back();
    sweep.attributes = reader.u8() != 0;
    sweep.cursor = reader.string();
    sweep.high = reader.string();
    sweep.old_attributes = reader.string();
  }
  if (!reader.ok() || !reader.at_end()) return corrupt;
  return sweeps;
}

}  // namespace tributary
