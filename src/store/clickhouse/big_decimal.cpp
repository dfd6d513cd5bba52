#include "store/clickhouse/big_decimal.h"

namespace tributary {
namespace {

// value * 10 + digit. 76 digits stay below 2^253.
void push_digit(std::array<uint64_t, 4>& value, unsigned digit) {
  unsigned __int128 carry = digit;
  for (uint64_t& word : value) {
    carry += static_cast<unsigned __int128>(word) * 10;
    word = static_cast<uint64_t>(carry);
    carry >>= 64;
  }
}

void negate(std::array<uint64_t, 4>& value) {
  uint64_t carry = 1;
  for (uint64_t& word : value) {
    word = ~word + carry;
    carry = carry != 0 && word == 0 ? 1 : 0;
  }
}

}  // namespace

std::optional<std::array<uint64_t, 4>> parse_big_decimal(std::string_view text, int precision, int scale) {
  std::array<uint64_t, 4> value{};
  bool negative = !text.empty() && text[0] == '-';
  if (negative || (!text.empty() && text[0] == '+')) text.remove_prefix(1);
  int digits = 0;
  int fraction = 0;
  bool point = false;
  bool any = false;
  for (char c : text) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') return std::nullopt;
    any = true;
    if (point && fraction == scale) {
      if (c != '0') return std::nullopt;
      continue;
    }
    if (point) ++fraction;
    if ((digits > 0 || c != '0') && ++digits > precision) return std::nullopt;
    push_digit(value, static_cast<unsigned>(c - '0'));
  }
  if (!any) return std::nullopt;
  for (; fraction < scale; ++fraction) {
    if (digits > 0 && ++digits > precision) return std::nullopt;
    push_digit(value, 0);
  }
  if (negative) negate(value);
  return value;
}

}  // namespace tributary
