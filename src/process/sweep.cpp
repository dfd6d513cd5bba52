#include "process/sweep.h"

#include <algorithm>

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;
constexpr uint8_t format_with_again = 2;  // written where one is

enum class Kind : uint8_t { kVoided = 0, kAttributes = 1, kAgain = 2 };

Kind kind_of(const Sweep& sweep) {
  return sweep.again ? Kind::kAgain : sweep.attributes ? Kind::kAttributes : Kind::kVoided;
}

}  // namespace

const std::string* Sweeps::old_attributes_of(std::string_view key) const {
  for (const Sweep& sweep : list) {
    if (sweep.attributes && key >= sweep.cursor) return &sweep.old_attributes;
  }
  return nullptr;
}

std::string Sweeps::encode() const {
  std::string out;
  bool again = std::any_of(list.begin(), list.end(), [](const Sweep& sweep) { return sweep.again; });
  put_u8(out, again ? format_with_again : format_version);
  put_varint(out, list.size());
  for (const Sweep& sweep : list) {
    put_u8(out, static_cast<uint8_t>(kind_of(sweep)));
    put_string(out, sweep.cursor);
    put_string(out, sweep.high);
    put_string(out, sweep.old_attributes);
  }
  return out;
}

Result<Sweeps> Sweeps::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  Error corrupt{ErrorCode::kCorrupt, "stored sweeps do not decode"};
  uint8_t version = reader.u8();
  if (version != format_version && version != format_with_again) return corrupt;
  Sweeps sweeps;
  uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    Sweep& sweep = sweeps.list.emplace_back();
    auto kind = static_cast<Kind>(reader.u8());
    sweep.attributes = kind == Kind::kAttributes;
    sweep.again = kind == Kind::kAgain;
    sweep.cursor = reader.string();
    sweep.high = reader.string();
    sweep.old_attributes = reader.string();
  }
  if (!reader.ok() || !reader.at_end()) return corrupt;
  return sweeps;
}

}  // namespace tributary
