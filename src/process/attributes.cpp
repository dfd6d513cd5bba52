#include "process/attributes.h"

#include "model/cells.h"

namespace tributary {

std::string ClientAttributes::content() const {
  std::string out;
  put_varint(out, values.size());
  for (const auto& [name, value] : values) {
    put_string(out, name);
    put_string(out, value.type().to_string());
    append_cell(out, value, 0);
  }
  return out;
}

std::string ClientAttributes::encode() const {
  std::string out;
  put_u32(out, revision);
  return out + content();
}

Result<ClientAttributes> ClientAttributes::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  ClientAttributes attributes;
  attributes.revision = reader.u32();
  uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    std::string name(reader.string());
    auto type = LogicalType::parse(reader.string());
    if (!type) break;
    Column value(*type);
    if (!read_cell(reader, value)) break;
    attributes.values.emplace(std::move(name), std::move(value));
  }
  if (!reader.ok() || !reader.at_end() || attributes.values.size() != count) {
    return Error{ErrorCode::kCorrupt, "stored attributes of a client do not decode"};
  }
  return attributes;
}

}  // namespace tributary
