#include "model/position.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"

namespace tributary {
namespace {

template <typename T>
bool parse_integer(std::string_view text, int base, T& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

void store_big(uint8_t* out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i, value >>= 8) out[i] = static_cast<uint8_t>(value);
}

}  // namespace

void Position::append_to(std::string& out) const {
  put_u32_big(out, epoch);
  put_u64_big(out, commit);
  put_u64_big(out, change);
  put_u32_big(out, ordinal);
}

std::string Position::encoded() const {
  std::string out;
  out.reserve(encoded_bytes);
  append_to(out);
  return out;
}

std::optional<Position> Position::decode(std::string_view bytes) {
  if (bytes.size() != encoded_bytes) return std::nullopt;
  return Position{load_u32_big(bytes.data()), load_u64_big(bytes.data() + 4), load_u64_big(bytes.data() + 12),
                  load_u32_big(bytes.data() + 20)};
}

std::string Position::to_string() const {
  return fmt::format("{}:{}:{}:{}", epoch, lsn_to_string(commit), lsn_to_string(change), ordinal);
}

std::optional<Position> Position::parse(std::string_view text) {
  std::array<std::string_view, 4> parts;
  for (size_t i = 0; i < 4; ++i) {
    size_t end = i == 3 ? text.size() : text.find(':');
    if (end == std::string_view::npos) return std::nullopt;
    parts[i] = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  Position position;
  auto commit = parse_lsn(parts[1]);
  auto change = parse_lsn(parts[2]);
  if (!commit || !change || !parse_integer(parts[0], 10, position.epoch) ||
      !parse_integer(parts[3], 10, position.ordinal)) {
    return std::nullopt;
  }
  position.commit = *commit;
  position.change = *change;
  return position;
}

std::string lsn_to_string(uint64_t lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xFFFFFFFF); }

std::optional<uint64_t> parse_lsn(std::string_view text) {
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  uint32_t high = 0;
  uint32_t low = 0;
  if (!parse_integer(text.substr(0, slash), 16, high) || !parse_integer(text.substr(slash + 1), 16, low)) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(high) << 32 | low;
}

Version Version::of_row(const Position& position, uint32_t attribute_revision, uint32_t fill) {
  Version version;
  store_big(version.bytes.data(), position.epoch, 4);
  store_big(version.bytes.data() + 4, position.commit, 8);
  store_big(version.bytes.data() + 12, position.change, 8);
  store_big(version.bytes.data() + 20, position.ordinal, 4);
  store_big(version.bytes.data() + 24, attribute_revision, 4);
  store_big(version.bytes.data() + 28, fill, 4);
  return version;
}

Version Version::of_checkpoint(uint64_t run_generation, uint64_t checkpoint) {
  Version version;
  store_big(version.bytes.data() + 8, run_generation, 8);
  store_big(version.bytes.data() + 16, checkpoint, 8);
  return version;
}

std::array<uint8_t, Version::encoded_bytes> Version::little_endian() const {
  std::array<uint8_t, encoded_bytes> out;
  std::reverse_copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

std::string Version::to_decimal() const {
  std::array<uint8_t, encoded_bytes> number = bytes;
  std::string digits;
  bool zero = false;
  while (!zero) {  // long division by ten
    zero = true;
    unsigned remainder = 0;
    for (uint8_t& byte : number) {
      unsigned value = remainder << 8 | byte;
      byte = static_cast<uint8_t>(value / 10);
      remainder = value % 10;
      if (byte != 0) zero = false;
    }
    digits.push_back(static_cast<char>('0' + remainder));
  }
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace tributary
