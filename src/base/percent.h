// Percent-encoding (RFC 3986, 2.1) undone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tributary {

// nullopt: a % without two hexadecimal digits, or an encoded zero byte, which no part of an address has.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace tributary
