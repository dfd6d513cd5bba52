#include "model/row_key.h"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cmath>

#include "base/bytes.h"

namespace tributary {
namespace {

enum Tag : uint8_t {
  kNull = 1,
  kInteger = 2,
  kUnsigned = 3,
  kBool = 4,
  kFloat = 5,
  kDecimal = 6,
  kDate = 7,
  kTimestamp = 8,
  kTimestampTz = 9,
  kUuid = 10,
  kText = 11,
  kBytes = 12,
  kHeldAsText = 13,
};

constexpr uint64_t sign_bit = uint64_t{1} << 63;

void put_integer(std::string& out, Tag tag, int64_t value) {
  put_u8(out, tag);
  put_u64_big(out, static_cast<uint64_t>(value) ^ sign_bit);
}

void put_float(std::string& out, double value) {
  if (value == 0) value = 0;  // −0
  auto bits = std::isnan(value) ? std::bit_cast<uint64_t>(std::numeric_limits<double>::quiet_NaN())
                                : std::bit_cast<uint64_t>(value);
  bits = (bits & sign_bit) != 0 ? ~bits : bits | sign_bit;
  put_u8(out, kFloat);
  put_u64_big(out, bits);
}

void put_escaped(std::string& out, Tag tag, std::string_view value) {
  put_u8(out, tag);
  for (char c : value) {
    out.push_back(c);
    if (c == '\0') out.push_back('\xFF');
  }
  out.append(2, '\0');
}

// "1.500" and "1.5" are one key: no zeros behind the point, no zeros in front, no "-0".
std::string normalized_decimal(std::string_view text) {
  bool negative = !text.empty() && text.front() == '-';
  if (negative || (!text.empty() && text.front() == '+')) text.remove_prefix(1);
  std::string digits(text);
  if (digits.find('.') != std::string::npos) {
    digits.erase(digits.find_last_not_of('0') + 1);
    if (!digits.empty() && digits.back() == '.') digits.pop_back();
  }
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty() || digits.front() == '.') digits.insert(0, 1, '0');
  if (digits == "0") negative = false;
  return negative ? "-" + digits : digits;
}

bool is_plain_number(std::string_view text) {
  return text.find_first_not_of("+-.0123456789") == std::string_view::npos && !text.empty();
}

std::string read_escaped(ByteReader& reader) {
  std::string out;
  while (reader.ok()) {
    char c = static_cast<char>(reader.u8());
    if (c != '\0') {
      out.push_back(c);
    } else if (reader.u8() == 0xFF) {
      out.push_back('\0');
    } else {
      break;
    }
  }
  return out;
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) out += fmt::format("{:02x}", c);
  return out;
}

struct KeyPart {
  uint8_t tag = 0;
  std::string text;
};

}  // namespace

void append_key_part(std::string& out, const Column& column, size_t row) {
  switch (column.state(row)) {
    case CellState::kNull: put_u8(out, kNull); return;
    case CellState::kText:
      if (column.type().id == TypeId::kDecimal && is_plain_number(column.text(row))) {
        put_escaped(out, kHeldAsText,
                    normalized_decimal(column.text(row)));  // 1e40 and 1e40 with a zero behind the point
      } else {
        put_escaped(out, kHeldAsText, column.text(row));
      }
      return;
    case CellState::kAbsent: CHECK(false, "a key column is absent"); return;
    case CellState::kValue: break;
  }
  switch (column.type().id) {
    case TypeId::kBool:
      put_u8(out, kBool);
      put_u8(out, column.fixed<uint8_t>(row));
      return;
    case TypeId::kInt16: put_integer(out, kInteger, column.fixed<int16_t>(row)); return;
    case TypeId::kInt32: put_integer(out, kInteger, column.fixed<int32_t>(row)); return;
    case TypeId::kInt64: put_integer(out, kInteger, column.fixed<int64_t>(row)); return;
    case TypeId::kUInt64: {
      auto value = column.fixed<uint64_t>(row);
      if (value < sign_bit) {
        put_integer(out, kInteger, static_cast<int64_t>(value));
      } else {
        put_u8(out, kUnsigned);
        put_u64_big(out, value);
      }
      return;
    }
    case TypeId::kFloat32: put_float(out, column.fixed<float>(row)); return;
    case TypeId::kFloat64: put_float(out, column.fixed<double>(row)); return;
    case TypeId::kDecimal:
      put_escaped(out, kDecimal, normalized_decimal(decimal_to_string(column.fixed<Int128>(row), column.type().scale)));
      return;
    case TypeId::kBigDecimal: put_escaped(out, kDecimal, normalized_decimal(column.bytes(row))); return;
    case TypeId::kDate: put_integer(out, kDate, column.fixed<int32_t>(row)); return;
    case TypeId::kTimestamp: put_integer(out, kTimestamp, column.fixed<int64_t>(row)); return;
    case TypeId::kTimestampTz: put_integer(out, kTimestampTz, column.fixed<int64_t>(row)); return;
    case TypeId::kUuid:
      put_u8(out, kUuid);
      out.append(column.bytes(row));
      return;
    case TypeId::kText:
    case TypeId::kJson: put_escaped(out, kText, column.bytes(row)); return;
    case TypeId::kBytes: put_escaped(out, kBytes, column.bytes(row)); return;
  }
}

namespace {

std::vector<KeyPart> read_parts(std::string_view key) {
  ByteReader reader(key);
  std::vector<KeyPart> parts;
  while (reader.ok() && !reader.at_end()) {
    KeyPart& part = parts.emplace_back();
    part.tag = reader.u8();
    switch (part.tag) {
      case kNull: break;
      case kInteger: part.text = fmt::format("{}", static_cast<int64_t>(reader.u64_big() ^ sign_bit)); break;
      case kUnsigned: part.text = fmt::format("{}", reader.u64_big()); break;
      case kBool: part.text = reader.u8() != 0 ? "true" : "false"; break;
      case kFloat: {
        uint64_t bits = reader.u64_big();
        bits = (bits & sign_bit) != 0 ? bits ^ sign_bit : ~bits;
        part.text = fmt::format("{}", std::bit_cast<double>(bits));
        break;
      }
      case kDate: part.text = date_to_string(static_cast<int32_t>(reader.u64_big() ^ sign_bit)); break;
      case kTimestamp:
      case kTimestampTz:
        part.text = timestamp_to_string(static_cast<int64_t>(reader.u64_big() ^ sign_bit));
        if (part.tag == kTimestampTz) part.text += "+00";
        break;
      case kUuid:
        part.text = hex(reader.bytes(16));
        if (part.text.size() == 32) {
          for (size_t at : {20, 16, 12, 8}) part.text.insert(at, 1, '-');
        }
        break;
      case kDecimal:
      case kText:
      case kHeldAsText: part.text = read_escaped(reader); break;
      case kBytes: part.text = "\\x" + hex(read_escaped(reader)); break;
      default: return {};
    }
  }
  return reader.ok() ? parts : std::vector<KeyPart>{};
}

}  // namespace

std::string row_key_to_string(std::string_view key) {
  std::vector<KeyPart> parts = read_parts(key);
  if (parts.empty()) return "x'" + hex(key) + "'";
  std::string out = "(";
  for (const KeyPart& part : parts) {
    if (out.size() > 1) out += ", ";
    bool quoted = part.tag == kText || part.tag == kHeldAsText || part.tag == kTimestamp || part.tag == kTimestampTz ||
                  part.tag == kBytes;
    out += part.tag == kNull ? "null" : quoted ? "'" + part.text + "'" : part.text;
  }
  return out + ")";
}

std::vector<std::optional<std::string>> row_key_values(std::string_view key) {
  std::vector<std::optional<std::string>> values;
  for (KeyPart& part : read_parts(key)) {
    values.push_back(part.tag == kNull ? std::nullopt : std::optional(std::move(part.text)));
  }
  return values;
}

uint64_t partition_hash(std::string_view client, std::string_view key) {
  std::string bytes;
  bytes.reserve(client.size() + 1 + key.size());
  bytes.append(client).push_back('\0');
  bytes.append(key);
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace tributary
