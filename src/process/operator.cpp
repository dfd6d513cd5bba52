#include "process/operator.h"

#include "base/bytes.h"
#include "model/row_key.h"

namespace tributary {

std::string StateName::key(std::string_view client, std::string_view rest) const {
  std::string tail;
  CHECK(name.size() <= UINT8_MAX);
  tail.reserve(1 + name.size() + rest.size());
  put_u8(tail, static_cast<uint8_t>(name.size()));
  tail.append(name);
  tail.append(rest);
  return state_key(kind, client, tail);
}

uint64_t exchange_hash_of(std::string_view client, std::string_view key) { return partition_hash(client, key); }

}  // namespace tributary
