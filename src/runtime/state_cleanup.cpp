#include "runtime/state_cleanup.h"

#include "base/bytes.h"

namespace tributary {
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
    std::string high = first_behind(low);
    if (is_unused(kind, name)) write.remove_range(Family::kState, low, high);
    it.seek(high);
  }
  return it.status();
}

}  // namespace tributary
