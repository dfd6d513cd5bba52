#include "runtime/state_cleanup.h"

#include "base/bytes.h"

namespace tributary {
namespace {

// The first key behind all that begin with `prefix`.
std::string behind(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xFF) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

}  // namespace

Status remove_state(const Storage& storage,
                    const std::function<bool(StateOperator kind, std::string_view name)>& is_unused,
                    StorageBatch& write) {
  StorageIterator it = storage.iterate(Family::kState, {});
  while (it.valid()) {
    ByteReader reader(it.key());
    auto kind = static_cast<StateOperator>(reader.u16_big());
    reader.bytes(reader.u8());  // the client
    std::string name(reader.bytes(reader.u8()));
    if (!reader.ok()) return Error{ErrorCode::kCorrupt, "a key of keyed state does not decode"};
    std::string low(it.key().substr(0, reader.position()));
    std::string high = behind(low);
    if (is_unused(kind, name)) write.remove_range(Family::kState, low, high);
    it.seek(high);
  }
  return it.status();
}

}  // namespace tributary
