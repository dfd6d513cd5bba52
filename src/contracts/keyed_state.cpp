#include "contracts/keyed_state.h"

#include "base/bytes.h"

namespace tributary {

std::string state_key(uint16_t operator_id, std::string_view client, std::string_view key) {
  CHECK(client.size() <= UINT8_MAX);
  std::string out;
  out.reserve(3 + client.size() + key.size());
  put_u16_big(out, operator_id);
  put_u8(out, static_cast<uint8_t>(client.size()));
  out.append(client);
  out.append(key);
  return out;
}

}  // namespace tributary
