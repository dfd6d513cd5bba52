#include "process/convert.h"

#include <fmt/format.h>

#include <charconv>

namespace tributary {
namespace {

constexpr int64_t day_micros = 86'400'000'000;

std::optional<Int128> as_integer(const Column& column, size_t row) {
  switch (column.type().id) {
    case TypeId::kInt16: return column.fixed<int16_t>(row);
    case TypeId::kInt32: return column.fixed<int32_t>(row);
    case TypeId::kInt64: return column.fixed<int64_t>(row);
    case TypeId::kUInt64: return column.fixed<uint64_t>(row);
    default: return std::nullopt;
  }
}

std::string float_text(double value) {
  char buffer[32];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end};
}

std::string uuid_text(std::string_view bytes) {
  std::string out;
  append_uuid_text(out, bytes);
  return out;
}

bool convert_integer(Column& to, Int128 value) {
  switch (to.type().id) {
    case TypeId::kInt16:
      if (value != static_cast<int16_t>(value)) return false;
      to.append_fixed(static_cast<int16_t>(value));
      return true;
    case TypeId::kInt32:
      if (value != static_cast<int32_t>(value)) return false;
      to.append_fixed(static_cast<int32_t>(value));
      return true;
    case TypeId::kInt64:
      if (value != static_cast<int64_t>(value)) return false;
      to.append_fixed(static_cast<int64_t>(value));
      return true;
    case TypeId::kUInt64:
      if (value < 0 || value != static_cast<Int128>(static_cast<uint64_t>(value))) return false;
      to.append_fixed(static_cast<uint64_t>(value));
      return true;
    case TypeId::kFloat64:
      if (static_cast<Int128>(static_cast<double>(value)) != value) return false;
      to.append_fixed(static_cast<double>(value));
      return true;
    default: return false;
  }
}

}  // namespace

std::string value_to_text(const Column& column, size_t row) {
  switch (column.type().id) {
    case TypeId::kBool: return column.fixed<uint8_t>(row) != 0 ? "true" : "false";
    case TypeId::kInt16:
    case TypeId::kInt32:
    case TypeId::kInt64:
    case TypeId::kUInt64: return decimal_to_string(*as_integer(column, row), 0);
    case TypeId::kFloat32: {
      char buffer[32];
      auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, column.fixed<float>(row));
      return {buffer, end};
    }
    case TypeId::kFloat64: return float_text(column.fixed<double>(row));
    case TypeId::kDecimal: return decimal_to_string(column.fixed<Int128>(row), column.type().scale);
    case TypeId::kDate: return date_to_string(column.fixed<int32_t>(row));
    case TypeId::kTimestamp: return timestamp_to_string(column.fixed<int64_t>(row));
    case TypeId::kTimestampTz: return timestamp_to_string(column.fixed<int64_t>(row)) + "+00";
    case TypeId::kUuid: return uuid_text(column.bytes(row));
    case TypeId::kText:
    case TypeId::kJson:
    case TypeId::kBigDecimal:
    case TypeId::kBytes: return std::string(column.bytes(row));
  }
  return {};
}

bool append_converted(Column& to, const Column& from, size_t row) {
  switch (from.state(row)) {
    case CellState::kNull: to.append_null(); return true;
    case CellState::kAbsent: to.append_absent(); return true;
    case CellState::kText:
      if (to.type().id == TypeId::kText) {
        to.append_bytes(from.text(row));
      } else {
        to.append_text(from.text(row));
      }
      return true;
    case CellState::kValue: break;
  }
  if (to.type() == from.type()) {
    to.append_bytes(from.bytes(row));
    return true;
  }
  TypeId target = to.type().id;
  if (target == TypeId::kText && from.type().id != TypeId::kBytes) {
    to.append_bytes(value_to_text(from, row));
    return true;
  }
  if (auto integer = as_integer(from, row); integer && convert_integer(to, *integer)) return true;
  if (target == TypeId::kFloat64 && from.type().id == TypeId::kFloat32) {
    to.append_fixed(static_cast<double>(from.fixed<float>(row)));
    return true;
  }
  if (target == TypeId::kTimestamp && from.type().id == TypeId::kDate) {
    to.append_fixed(static_cast<int64_t>(from.fixed<int32_t>(row)) * day_micros);
    return true;
  }
  std::string text = value_to_text(from, row);
  if (target == TypeId::kDecimal) {
    if (auto value = parse_decimal(text, to.type().precision, to.type().scale)) {
      to.append_fixed(*value);
      return true;
    }
  } else if (target == TypeId::kBigDecimal &&
             (as_integer(from, row) || from.type().id == TypeId::kDecimal || from.type().id == TypeId::kBigDecimal)) {
    to.append_bytes(text);
    return true;
  }
  to.append_text(text);
  return false;
}

}  // namespace tributary
