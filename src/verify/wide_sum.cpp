#include "verify/wide_sum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <new>

#include "verify/duckdb_functions_api.h"

namespace tributary {
namespace {

constexpr uint8_t scale_max = 38;
// Ten thousand million numbers of fewer digits have a sum of 38 digits at most.
constexpr unsigned precision_min = 29;

struct Huge {  // as DuckDB has 128 bits
  uint64_t lower;
  int64_t upper;
};

// A sum in two's complement of 192 bits. DuckDB moves states as bytes: no pointers in it.
struct WideSum {
  uint64_t low = 0;
  uint64_t middle = 0;
  uint64_t high = 0;
  uint64_t values = 0;

  void add(uint64_t other_low, uint64_t other_middle, uint64_t other_high) {
    uint64_t carry = __builtin_add_overflow(low, other_low, &low) ? 1 : 0;
    bool first = __builtin_add_overflow(middle, other_middle, &middle);
    bool second = __builtin_add_overflow(middle, carry, &middle);
    high += other_high + (first || second ? 1 : 0);
  }
  void add(Huge term) {
    ++values;
    add(term.lower, static_cast<uint64_t>(term.upper), term.upper < 0 ? ~uint64_t{0} : 0);
  }
  void add(const WideSum& other) {
    values += other.values;
    add(other.low, other.middle, other.high);
  }

  bool negative() const { return high >> 63 != 0; }

  Huge value() const {
    uint64_t sign = middle >> 63 != 0 ? ~uint64_t{0} : 0;
    Huge least{1, INT64_MIN};  // whose opposite is a number, too
    if (high == sign) return middle == uint64_t{1} << 63 && low == 0 ? least : Huge{low, static_cast<int64_t>(middle)};
    return negative() ? least : Huge{~uint64_t{0}, INT64_MAX};
  }

  std::string text(uint8_t scale) const {
    uint64_t words[] = {high, middle, low};
    if (negative()) {
      bool carry = true;
      for (size_t i = 3; i-- > 0;) carry = __builtin_add_overflow(~words[i], uint64_t{carry}, &words[i]);
    }
    std::string digits;  // the last one first
    for (size_t count = 0; count <= scale || (words[0] | words[1] | words[2]) != 0;) {
      unsigned __int128 rest = 0;
      for (uint64_t& word : words) {
        rest = rest << 64 | word;
        word = static_cast<uint64_t>(rest / 10);
        rest %= 10;
      }
      digits.push_back(static_cast<char>('0' + static_cast<int>(rest)));
      if (++count == scale) digits.push_back('.');
    }
    if (negative()) digits.push_back('-');
    std::reverse(digits.begin(), digits.end());
    return digits;
  }
};

WideSum& sum_of(duckdb_aggregate_state state) { return *reinterpret_cast<WideSum*>(state); }

void update(duckdb_function_info /*info*/, duckdb_data_chunk input, duckdb_aggregate_state* states) {
  duckdb_vector vector = duckdb_data_chunk_get_vector(input, 0);
  const uint64_t* validity = duckdb_vector_get_validity(vector);
  const auto* values = static_cast<const Huge*>(duckdb_vector_get_data(vector));
  idx_t size = duckdb_data_chunk_get_size(input);
  for (idx_t row = 0; row < size; ++row) {
    if (is_valid(validity, row)) sum_of(states[row]).add(values[row]);
  }
}

void combine(duckdb_function_info /*info*/, duckdb_aggregate_state* source, duckdb_aggregate_state* target,
             idx_t count) {
  for (idx_t i = 0; i < count; ++i) sum_of(target[i]).add(sum_of(source[i]));
}

void finalize_number(duckdb_function_info /*info*/, duckdb_aggregate_state* source, duckdb_vector result, idx_t count,
                     idx_t offset) {
  auto* values = static_cast<Huge*>(duckdb_vector_get_data(result));
  for (idx_t i = 0; i < count; ++i) {
    const WideSum& sum = sum_of(source[i]);
    if (sum.values == 0) {
      set_null(result, offset + i);
    } else {
      values[offset + i] = sum.value();
    }
  }
}

template <uint8_t scale>
void finalize_text(duckdb_function_info /*info*/, duckdb_aggregate_state* source, duckdb_vector result, idx_t count,
                   idx_t offset) {
  for (idx_t i = 0; i < count; ++i) {
    const WideSum& sum = sum_of(source[i]);
    if (sum.values == 0) {
      set_null(result, offset + i);
    } else {
      std::string text = sum.text(scale);
      duckdb_vector_assign_string_element_len(result, offset + i, text.data(), text.size());
    }
  }
}

using Finalize = void (*)(duckdb_function_info, duckdb_aggregate_state*, duckdb_vector, idx_t, idx_t);

bool add_sum(duckdb_connection connection, const std::string& name, duckdb_logical_type argument,
             duckdb_logical_type result, Finalize finalize) {
  duckdb_aggregate_function sum = duckdb_create_aggregate_function();
  duckdb_aggregate_function_set_name(sum, name.c_str());
  duckdb_aggregate_function_add_parameter(sum, argument);
  duckdb_aggregate_function_set_return_type(sum, result);
  duckdb_aggregate_function_set_functions(
      sum, [](duckdb_function_info) -> idx_t { return sizeof(WideSum); },
      [](duckdb_function_info, duckdb_aggregate_state state) { new (static_cast<void*>(state)) WideSum; }, update,
      combine, finalize);
  bool added = duckdb_register_aggregate_function(connection, sum) == DuckDBSuccess;
  duckdb_destroy_aggregate_function(&sum);
  return added;
}

bool add_both(duckdb_connection connection, const std::string& suffix, duckdb_logical_type number, Finalize finalize) {
  duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  bool added = add_sum(connection, "wide_sum_" + suffix, number, number, finalize_number) &&
               add_sum(connection, "wide_text_" + suffix, number, text, finalize);
  duckdb_destroy_logical_type(&text);
  duckdb_destroy_logical_type(&number);
  return added;
}

template <uint8_t scale = 0>
bool add_scales(duckdb_connection connection) {
  bool added = add_both(connection, std::to_string(scale), duckdb_create_decimal_type(38, scale), finalize_text<scale>);
  if constexpr (scale < scale_max) return added && add_scales<scale + 1>(connection);
  return added;
}

}  // namespace

Status add_wide_sums(duckdb_connection connection) {
  bool added = add_both(connection, "integer", duckdb_create_logical_type(DUCKDB_TYPE_HUGEINT), finalize_text<0>) &&
               add_scales(connection);
  if (!added) return Error{ErrorCode::kInternal, "DuckDB does not take the validator's sums"};
  return {};
}

std::string wide_sum_suffix(std::string_view duckdb_type) {
  if (duckdb_type == "HUGEINT") return "integer";
  unsigned precision = 0;
  unsigned scale = 0;
  std::string text(duckdb_type);
  if (std::sscanf(text.c_str(), "DECIMAL(%u,%u)", &precision, &scale) != 2 || precision < precision_min) return "";
  return std::to_string(scale);
}

}  // namespace tributary
