// Bytes as hexadecimal digits, two a byte.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tributary {

std::string to_hex(std::string_view bytes);  // lower case
// nullopt: an odd number of digits, or what is no digit. Takes both cases.
std::optional<std::string> from_hex(std::string_view text);

}  // namespace tributary
