#include "app/kept_choice.h"

namespace tributary {

Result<std::string> kept_choice(Storage& storage, std::string_view key, const std::string& now, Family family,
                                std::string_view embedded_prefix) {
  ASSIGN_OR_RETURN(std::optional<std::string> stored, storage.get(Family::kMeta, key));
  if (stored) return *stored;
  StorageIterator entries = storage.iterate(family, embedded_prefix);
  std::string choice = entries.valid() ? "embedded" : now;
  RETURN_IF_ERROR(entries.status());
  StorageBatch batch;
  batch.put(Family::kMeta, key, choice);
  RETURN_IF_ERROR(storage.write(batch));
  return choice;
}

}  // namespace tributary
