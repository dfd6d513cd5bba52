#include "codec/connect/connect_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <vector>

#include "model/type.h"

namespace tributary {
namespace {

constexpr int64_t day_micros = 86'400'000'000;

// Digits of a big-endian magnitude.
std::string magnitude_to_digits(std::vector<uint32_t> words) {
  constexpr uint32_t chunk = 1'000'000'000;
  std::string reversed;
  size_t first = 0;
  while (first < words.size()) {
    uint64_t rest = 0;
    for (size_t i = first; i < words.size(); ++i) {
      uint64_t part = (rest << 32) | words[i];
      words[i] = static_cast<uint32_t>(part / chunk);
      rest = part % chunk;
    }
    while (first < words.size() && words[first] == 0) ++first;
    for (int i = 0; i < 9; ++i, rest /= 10) reversed.push_back(static_cast<char>('0' + rest % 10));
  }
  while (reversed.size() > 1 && reversed.back() == '0') reversed.pop_back();
  if (reversed.empty()) reversed = "0";
  return {reversed.rbegin(), reversed.rend()};
}

template <typename Number>
void put_float(std::string& out, Number value, int plain_digits) {
  std::array<char, 64> text{};
  auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific);
  std::string_view shortest(text.data(), static_cast<size_t>(end - text.data()));
  int exponent = 0;
  std::string_view behind = shortest.substr(shortest.find('e') + 1);
  if (behind.starts_with('+')) behind.remove_prefix(1);
  std::from_chars(behind.data(), behind.data() + behind.size(), exponent);
  if (exponent < -4 || exponent >= plain_digits) {
    out += shortest;
    return;
  }
  auto fixed = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  out.append(text.data(), fixed.ptr);
}

void put_fraction(std::string& out, int64_t micros) {
  if (micros == 0) return;
  fmt::format_to(std::back_inserter(out), ".{:06}", micros);
  out.erase(out.find_last_not_of('0') + 1);
}

// False: it is before 1 AD, which " BC" behind the whole says.
bool put_civil(std::string& out, int64_t days) {
  CivilDate date = civil_from_days(days);
  bool bc = date.year < 1;
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}", bc ? 1 - date.year : date.year, date.month, date.day);
  return !bc;
}

}  // namespace

std::string unscaled_to_decimal(std::string_view bytes, int64_t scale) {
  bool negative = !bytes.empty() && (static_cast<uint8_t>(bytes[0]) & 0x80) != 0;
  std::vector<uint32_t> words((bytes.size() + 3) / 4);
  uint32_t carry = negative ? 1 : 0;  // of −x = ~x + 1
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto byte = static_cast<uint8_t>(bytes[bytes.size() - 1 - i]);
    uint32_t value = (negative ? static_cast<uint8_t>(~byte) : byte) + carry;
    carry = value >> 8;
    words[words.size() - 1 - i / 4] |= (value & 0xFF) << (8 * (i % 4));
  }
  if (carry != 0) words.insert(words.begin(), 1);
  std::string digits = magnitude_to_digits(std::move(words));
  if (scale < 0 && digits != "0") digits.append(static_cast<size_t>(-scale), '0');
  if (scale > 0) {
    auto behind = static_cast<size_t>(scale);
    if (digits.size() <= behind) digits.insert(0, behind + 1 - digits.size(), '0');
    digits.insert(digits.size() - behind, 1, '.');
  }
  return negative ? "-" + digits : digits;
}

void put_postgres_float(std::string& out, double value) {
  constexpr int plain_digits = 15;
  put_float(out, value, plain_digits);
}

void put_postgres_float(std::string& out, float value) {
  constexpr int plain_digits = 6;
  put_float(out, value, plain_digits);
}

bool put_postgres_time(std::string& out, int64_t micros) {
  if (micros < 0 || micros > day_micros) return false;
  fmt::format_to(std::back_inserter(out), "{:02}:{:02}:{:02}", micros / 3'600'000'000, micros / 60'000'000 % 60,
                 micros / 1'000'000 % 60);
  put_fraction(out, micros % 1'000'000);
  return true;
}

void put_postgres_timestamp(std::string& out, int64_t micros, bool with_zone) {
  int64_t days = micros / day_micros - (micros % day_micros < 0);
  bool ad = put_civil(out, days);
  out.push_back(' ');
  put_postgres_time(out, micros - days * day_micros);
  if (with_zone) out += "+00";
  if (!ad) out += " BC";
}

void put_postgres_date(std::string& out, int32_t days) {
  if (!put_civil(out, days)) out += " BC";
}

std::string bits_to_text(std::string_view bytes, uint32_t length) {
  std::string bits;
  for (char c : bytes) {
    for (int bit = 0; bit < 8; ++bit) bits.push_back((static_cast<uint8_t>(c) >> bit & 1) != 0 ? '1' : '0');
  }
  if (length != 0) {
    bits.resize(length, '0');
  } else {
    bits.resize(bits.find_last_of('1') + 1);
  }
  return {bits.rbegin(), bits.rend()};
}

void put_array_element(std::string& out, std::string_view text) {
  bool is_null_word =
      text.size() == 4 && std::equal(text.begin(), text.end(), "null", [](char a, char b) { return (a | 0x20) == b; });
  bool quoted = text.empty() || is_null_word || text.find_first_of("{},\"\\ \t\n\r\v\f") != std::string_view::npos;
  if (!quoted) {
    out += text;
    return;
  }
  out.push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

std::optional<std::string> plain_number(std::string_view token) {
  constexpr int64_t digits_max = 100'000;
  bool negative = token.starts_with('-');
  if (negative) token.remove_prefix(1);
  size_t e = token.find_first_of("eE");
  int64_t exponent = 0;
  if (e != std::string_view::npos) {
    std::string_view behind = token.substr(e + 1);
    if (behind.starts_with('+')) behind.remove_prefix(1);
    auto [end, error] = std::from_chars(behind.data(), behind.data() + behind.size(), exponent);
    if (error != std::errc{} || end != behind.data() + behind.size()) return std::nullopt;
    token = token.substr(0, e);
  }
  if (exponent > digits_max || exponent < -digits_max) return std::nullopt;
  size_t point = std::min(token.find('.'), token.size());
  std::string digits(token.substr(0, point));
  if (point < token.size()) digits += token.substr(point + 1);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  int64_t before = static_cast<int64_t>(point) + exponent;  // digits before the point
  if (before <= 0) {
    digits.insert(0, static_cast<size_t>(1 - before), '0');
    before = 1;
  }
  if (before > static_cast<int64_t>(digits.size())) digits.resize(static_cast<size_t>(before), '0');
  std::string text = digits.substr(0, static_cast<size_t>(before));
  text.erase(0, std::min(text.find_first_not_of('0'), text.size() - 1));
  std::string fraction = digits.substr(static_cast<size_t>(before));
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (!fraction.empty()) text += "." + fraction;
  return negative ? "-" + text : text;
}

}  // namespace tributary
