// What a data directory was made with, of a stage that cannot change under it.
#pragma once

#include <string>
#include <string_view>

#include "storage/storage.h"

namespace tributary {

// Kept under `key` since the directory was made; `now` where it is new. One from before choices were kept has what is embedded
// if there is anything under `embedded_prefix` of `family`.
Result<std::string> kept_choice(Storage& storage, std::string_view key, const std::string& now, Family family,
                                std::string_view embedded_prefix);

}  // namespace tributary
