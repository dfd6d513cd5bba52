#include "codec/iso_time.h"

#include <algorithm>

#include "model/type.h"

namespace tributary {
namespace {

// Digits of a fixed number, moved over. False: others.
bool take_digits(std::string_view& text, size_t count, int64_t& out) {
  if (text.size() < count) return false;
  out = 0;
  for (size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    out = out * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return true;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<int64_t> take_fraction(std::string_view& text) {
  int64_t micros = 0;
  int64_t unit = 100'000;
  size_t digits = 0;
  for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), unit /= 10, ++digits) {
    if (unit == 0 && text[0] != '0') return std::nullopt;  // finer than a microsecond
    micros += (text[0] - '0') * unit;
  }
  return digits == 0 ? std::nullopt : std::optional(micros);
}

// Moves over a date. Years before 1 are astronomical: 0 is 1 BC.
std::optional<int32_t> take_date(std::string_view& text) {
  bool negative = take(text, '-');
  if (!negative) take(text, '+');
  size_t year_digits = std::min(text.find('-'), text.size());
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  bool read = year_digits >= 4 && year_digits <= 7 && take_digits(text, year_digits, year) && take(text, '-') &&
              take_digits(text, 2, month) && take(text, '-') && take_digits(text, 2, day);
  if (!read || month < 1 || month > 12 || day < 1 || day > 31) return std::nullopt;
  return days_from_civil(negative ? -year : year, static_cast<unsigned>(month), static_cast<unsigned>(day));
}

// "Z" or "+02:00", in minutes.
std::optional<int64_t> take_offset(std::string_view& text) {
  if (take(text, 'Z')) return 0;
  bool west = take(text, '-');
  int64_t hour = 0;
  int64_t minute = 0;
  if ((!west && !take(text, '+')) || !take_digits(text, 2, hour) || !take(text, ':') || !take_digits(text, 2, minute)) {
    return std::nullopt;
  }
  return (hour * 60 + minute) * (west ? -1 : 1);
}

}  // namespace

std::optional<int64_t> parse_iso_timestamp(std::string_view text) {
  auto days = take_date(text);
  int64_t hour = 0;
  int64_t minute = 0;
  int64_t second = 0;
  bool read = days && take(text, 'T') && take_digits(text, 2, hour) && take(text, ':') &&
              take_digits(text, 2, minute) && take(text, ':') && take_digits(text, 2, second);
  if (!read || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  int64_t fraction = 0;
  if (take(text, '.')) {
    auto micros = take_fraction(text);
    if (!micros) return std::nullopt;
    fraction = *micros;
  }
  auto offset_minutes = take_offset(text);
  if (!offset_minutes || !text.empty()) return std::nullopt;
  int64_t micros = 0;
  if (__builtin_mul_overflow((int64_t{*days} * 24 + hour) * 60 + minute - *offset_minutes, 60'000'000, &micros) ||
      __builtin_add_overflow(micros, second * 1'000'000 + fraction, &micros)) {
    return std::nullopt;
  }
  return micros;
}

std::optional<int32_t> parse_iso_date(std::string_view text) {
  auto days = take_date(text);
  if (!days) return std::nullopt;
  take(text, 'Z');
  return text.empty() ? days : std::nullopt;
}

}  // namespace tributary
