// JSON strings (RFC 8259) and base64 (RFC 4648), appended to a std::string.
#pragma once

#include <string>
#include <string_view>

namespace tributary {

// With its quotes. Bytes that are not UTF-8 become U+FFFD, one for each maximal part of a character (Unicode 15, 3.9), so
// that the result is always valid JSON. False where that happened: the text does not read back.
bool put_json_string(std::string& out, std::string_view text);

// With padding, without quotes.
void put_base64(std::string& out, std::string_view bytes);
// Appends the bytes of base64 with padding. False, with nothing appended, where it is none.
bool append_from_base64(std::string& out, std::string_view text);

}  // namespace tributary
