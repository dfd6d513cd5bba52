#include "process/aggregate_calls.h"

#include <cmath>
#include <limits>

#include "model/cells.h"

namespace tributary {
namespace {

bool is_float(const LogicalType& type) { return type.id == TypeId::kFloat32 || type.id == TypeId::kFloat64; }

Int128 integer_at(const Column& column, size_t row) {
  switch (column.type().id) {
    case TypeId::kBool: return column.fixed<uint8_t>(row);
    case TypeId::kInt16: return column.fixed<int16_t>(row);
    case TypeId::kInt32: return column.fixed<int32_t>(row);
    case TypeId::kInt64: return column.fixed<int64_t>(row);
    case TypeId::kUInt64: return column.fixed<uint64_t>(row);
    case TypeId::kDecimal: return column.fixed<Int128>(row);
    default: break;
  }
  CHECK(false, "a sum of {}", column.type().to_string());
  return 0;
}

double double_at(const Column& column, size_t row) {
  return column.type().id == TypeId::kFloat32 ? column.fixed<float>(row) : column.fixed<double>(row);
}

bool is_true(const Column& column, size_t row) { return column.is_value(row) && column.fixed<uint8_t>(row) != 0; }

// One of all cells that are equal: −0 is 0, and there is one NaN.
template <typename Float>
void append_float(std::string& out, Float value) {
  if (value == 0) value = 0;
  if (std::isnan(value)) value = std::numeric_limits<Float>::quiet_NaN();
  put_u8(out, static_cast<uint8_t>(CellState::kValue));
  put_little(out, value);
}

void append_canonical(std::string& out, const Column& column, size_t row) {
  if (column.is_value(row) && column.type().id == TypeId::kFloat32) {
    append_float(out, column.fixed<float>(row));
  } else if (column.is_value(row) && column.type().id == TypeId::kFloat64) {
    append_float(out, column.fixed<double>(row));
  } else {
    append_cell(out, column, row);
  }
}

Int128 power_of_ten(int exponent) {
  Int128 power = 1;
  for (int i = 0; i < exponent; ++i) power *= 10;
  return power;
}

}  // namespace

bool keeps_values(AggregateKind kind) {
  switch (kind) {
    case AggregateKind::kCountDistinct:
    case AggregateKind::kMin:
    case AggregateKind::kMax:
    case AggregateKind::kArgMin:
    case AggregateKind::kArgMax: return true;
    default: return false;
  }
}

CallRules::CallRules(const AggregateCall& call, std::span<const OutputColumn> input) : call_(call) {
  if (call.argument) argument_type_ = input[*call.argument].type;
}

bool CallRules::is_float_sum() const { return sums() && is_float(argument_type_); }

bool CallRules::counts(const Rows& rows, size_t row) const {
  if (call_.filter && !is_true(rows.columns[*call_.filter], row)) return false;
  if (call_.argument && rows.columns[*call_.argument].state(row) == CellState::kNull) return false;
  return !call_.order || rows.columns[*call_.order].state(row) != CellState::kNull;
}

std::optional<std::string> CallRules::unusable(const Rows& rows, size_t row) const {
  if (call_.kind == AggregateKind::kCount || call_.kind == AggregateKind::kCountDistinct) return std::nullopt;
  for (const std::optional<uint32_t>& at : {call_.argument, call_.order}) {
    if (!at || rows.columns[*at].state(row) != CellState::kText) continue;
    std::string_view name = call_.column.name;  // "max#2" where it has none of its own
    return fmt::format("{} of '{}', which its type {} cannot hold", name.substr(0, name.find('#')),
                       rows.columns[*at].text(row), rows.columns[*at].type().to_string());
  }
  return std::nullopt;
}

void CallRules::add(CallState& state, const Rows& rows, size_t row, int64_t weight) const {
  switch (call_.kind) {
    case AggregateKind::kBoolAnd:
    case AggregateKind::kBoolOr:
      (is_true(rows.columns[*call_.argument], row) ? state.count : state.others) += weight;
      return;
    case AggregateKind::kSum:
    case AggregateKind::kAvg:
      if (is_float_sum()) {
        state.real.add(double_at(rows.columns[*call_.argument], row), weight);
      } else {
        state.integer.add(integer_at(rows.columns[*call_.argument], row), weight);
      }
      [[fallthrough]];
    default: state.count += weight; return;
  }
}

std::string CallRules::value_order(const Rows& rows, size_t row) const {
  std::string out;
  const Column& argument = rows.columns[*call_.argument];
  switch (call_.kind) {
    case AggregateKind::kArgMin:
    case AggregateKind::kArgMax:
      append_ordered(out, rows.columns[*call_.order], row, call_.kind == AggregateKind::kArgMax, false);
      append_ordered(out, argument, row, false, false);
      return out;
    default: append_ordered(out, argument, row, call_.kind == AggregateKind::kMax, false); return out;
  }
}

std::string CallRules::value_cell(const Rows& rows, size_t row) const {
  std::string out;
  if (call_.kind != AggregateKind::kCountDistinct) append_canonical(out, rows.columns[*call_.argument], row);
  return out;
}

Status CallRules::append_result(const CallState& state, int64_t rows_in_group, Column& out) const {
  switch (call_.kind) {
    case AggregateKind::kCountRows: out.append_fixed<int64_t>(call_.filter ? state.count : rows_in_group); return {};
    case AggregateKind::kCount: out.append_fixed<int64_t>(state.count); return {};
    case AggregateKind::kCountDistinct: out.append_fixed<int64_t>(state.others); return {};
    case AggregateKind::kBoolAnd:
    case AggregateKind::kBoolOr:
      if (state.count + state.others == 0) {
        out.append_null();
      } else {
        bool value = call_.kind == AggregateKind::kBoolAnd ? state.others == 0 : state.count > 0;
        out.append_fixed<uint8_t>(value ? 1 : 0);
      }
      return {};
    default: break;
  }
  if (state.count == 0) {
    out.append_null();
    return {};
  }
  if (keeps_values(call_.kind)) {
    ByteReader reader(state.cell);
    CHECK(read_cell(reader, out), "the result of {} does not decode", call_.column.name);
    return {};
  }
  if (call_.kind == AggregateKind::kAvg) {
    out.append_fixed<double>(is_float_sum() ? state.real.value() / static_cast<double>(state.count)
                                            : state.integer.average(state.count, argument_type_.scale));
    return {};
  }
  if (is_float_sum()) {
    out.append_fixed<double>(state.real.value());
    return {};
  }
  auto value = state.integer.value();
  Int128 bound = power_of_ten(out.type().precision);
  if (!value || *value >= bound || *value <= -bound) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the sum {} does not fit into {}", call_.column.name, out.type().to_string())};
  }
  out.append_fixed<Int128>(*value);
  return {};
}

void CallRules::encode(const CallState& state, std::string& out) const {
  put_varint_signed(out, state.count);
  switch (call_.kind) {
    case AggregateKind::kCountRows:
    case AggregateKind::kCount: return;
    case AggregateKind::kBoolAnd:
    case AggregateKind::kBoolOr: put_varint_signed(out, state.others); return;
    case AggregateKind::kSum:
    case AggregateKind::kAvg:
      if (is_float_sum()) {
        state.real.encode(out);
      } else {
        state.integer.encode(out);
      }
      return;
    default:
      put_varint_signed(out, state.others);
      put_string(out, state.first);
      put_string(out, state.cell);
      return;
  }
}

CallState CallRules::decode(ByteReader& reader) const {
  CallState state;
  state.count = reader.varint_signed();
  switch (call_.kind) {
    case AggregateKind::kCountRows:
    case AggregateKind::kCount: break;
    case AggregateKind::kBoolAnd:
    case AggregateKind::kBoolOr: state.others = reader.varint_signed(); break;
    case AggregateKind::kSum:
    case AggregateKind::kAvg:
      if (is_float_sum()) {
        state.real = ExactDouble::decode(reader);
      } else {
        state.integer = ExactInteger::decode(reader);
      }
      break;
    default:
      state.others = reader.varint_signed();
      state.first = reader.string();
      state.cell = reader.string();
  }
  return state;
}

}  // namespace tributary
