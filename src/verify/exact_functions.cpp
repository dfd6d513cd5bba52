#include "verify/exact_functions.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <new>
#include <string>
#include <string_view>

#include "verify/duckdb_functions_api.h"
#include "verify/wide_sum.h"

namespace tributary {
namespace {

// A sum in two's complement, in units of 2^-1074, the least double. The greatest double has 2,098 bits in it; the rest is
// for the number of terms. DuckDB moves states as bytes: no pointers in it.
struct ExactSum {
  static constexpr size_t words_count = 34;

  std::array<uint64_t, words_count> words{};
  uint64_t values = 0;
  uint64_t nans = 0;
  uint64_t positive_infinities = 0;
  uint64_t negative_infinities = 0;

  void add(double term) {
    ++values;
    if (std::isnan(term)) {
      ++nans;
      return;
    }
    if (std::isinf(term)) {
      ++(term > 0 ? positive_infinities : negative_infinities);
      return;
    }
    auto bits = std::bit_cast<uint64_t>(term);
    uint64_t exponent = bits >> 52 & 0x7FF;
    uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
    if (exponent > 0) mantissa |= uint64_t{1} << 52;
    uint64_t place = exponent > 0 ? exponent - 1 : 0;
    size_t shift = place % 64;
    uint64_t low = mantissa << shift;
    uint64_t high = shift == 0 ? 0 : mantissa >> (64 - shift);
    term < 0 ? subtract(place / 64, low, high) : add(place / 64, low, high);
  }

  void add(size_t word, uint64_t low, uint64_t high) {
    bool carry = __builtin_add_overflow(words[word], low, &words[word]);
    for (++word; word < words_count && (high != 0 || carry); ++word, high = 0) {
      bool first = __builtin_add_overflow(words[word], high, &words[word]);
      bool second = __builtin_add_overflow(words[word], uint64_t{carry}, &words[word]);
      carry = first || second;
    }
  }

  void subtract(size_t word, uint64_t low, uint64_t high) {
    bool borrow = __builtin_sub_overflow(words[word], low, &words[word]);
    for (++word; word < words_count && (high != 0 || borrow); ++word, high = 0) {
      bool first = __builtin_sub_overflow(words[word], high, &words[word]);
      bool second = __builtin_sub_overflow(words[word], uint64_t{borrow}, &words[word]);
      borrow = first || second;
    }
  }

  void add(const ExactSum& other) {
    bool carry = false;
    for (size_t i = 0; i < words_count; ++i) {
      bool first = __builtin_add_overflow(words[i], other.words[i], &words[i]);
      bool second = __builtin_add_overflow(words[i], uint64_t{carry}, &words[i]);
      carry = first || second;
    }
    values += other.values;
    nans += other.nans;
    positive_infinities += other.positive_infinities;
    negative_infinities += other.negative_infinities;
  }

  double value() const {
    if (nans > 0 || (positive_infinities > 0 && negative_infinities > 0)) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    if (positive_infinities > 0) return std::numeric_limits<double>::infinity();
    if (negative_infinities > 0) return -std::numeric_limits<double>::infinity();
    bool negative = words.back() >> 63 != 0;
    std::array<uint64_t, words_count> magnitude = words;
    if (negative) {
      bool carry = true;
      for (uint64_t& word : magnitude) carry = __builtin_add_overflow(~word, uint64_t{carry}, &word);
    }
    size_t top = words_count;
    while (top > 0 && magnitude[top - 1] == 0) --top;
    if (top == 0) return 0;
    size_t bits = (top - 1) * 64 + static_cast<size_t>(std::bit_width(magnitude[top - 1]));
    double result = 0;
    if (bits <= 53) {
      result = std::ldexp(static_cast<double>(magnitude[0]), -1074);
    } else {
      result = rounded(magnitude, bits - 53);
    }
    return negative ? -result : result;
  }

  // The 53 bits above bit `shift`, to nearest even.
  static double rounded(const std::array<uint64_t, words_count>& magnitude, size_t shift) {
    auto bit = [&](size_t place) { return magnitude[place / 64] >> (place % 64) & 1; };
    uint64_t mantissa = 0;
    for (size_t i = 0; i < 53; ++i) mantissa |= bit(shift + i) << i;
    if (bit(shift - 1) != 0) {
      bool above = false;
      for (size_t place = 0; place + 1 < shift && !above; ++place) above = bit(place) != 0;
      if (above || (mantissa & 1) != 0) ++mantissa;
    }
    return std::ldexp(static_cast<double>(mantissa), static_cast<int>(shift) - 1074);
  }
};

ExactSum& sum_of(duckdb_aggregate_state state) { return *reinterpret_cast<ExactSum*>(state); }

void sum_update(duckdb_function_info /*info*/, duckdb_data_chunk input, duckdb_aggregate_state* states) {
  duckdb_vector vector = duckdb_data_chunk_get_vector(input, 0);
  const uint64_t* validity = duckdb_vector_get_validity(vector);
  const auto* values = static_cast<const double*>(duckdb_vector_get_data(vector));
  idx_t size = duckdb_data_chunk_get_size(input);
  for (idx_t row = 0; row < size; ++row) {
    if (is_valid(validity, row)) sum_of(states[row]).add(values[row]);
  }
}

void sum_combine(duckdb_function_info /*info*/, duckdb_aggregate_state* source, duckdb_aggregate_state* target,
                 idx_t count) {
  for (idx_t i = 0; i < count; ++i) sum_of(target[i]).add(sum_of(source[i]));
}

void sum_finalize(duckdb_function_info /*info*/, duckdb_aggregate_state* source, duckdb_vector result, idx_t count,
                  idx_t offset) {
  auto* values = static_cast<double*>(duckdb_vector_get_data(result));
  for (idx_t i = 0; i < count; ++i) {
    const ExactSum& sum = sum_of(source[i]);
    if (sum.values == 0) {
      set_null(result, offset + i);
    } else {
      values[offset + i] = sum.value();
    }
  }
}

std::string_view text_of(const duckdb_string_t& string) {
  uint32_t length = string.value.inlined.length;
  return {length <= sizeof(string.value.inlined.data) ? string.value.inlined.data : string.value.pointer.data, length};
}

void quotient_call(duckdb_function_info /*info*/, duckdb_data_chunk input, duckdb_vector result) {
  duckdb_vector sums = duckdb_data_chunk_get_vector(input, 0);
  duckdb_vector counts = duckdb_data_chunk_get_vector(input, 1);
  const uint64_t* sums_valid = duckdb_vector_get_validity(sums);
  const uint64_t* counts_valid = duckdb_vector_get_validity(counts);
  const auto* sum = static_cast<const duckdb_string_t*>(duckdb_vector_get_data(sums));
  const auto* count = static_cast<const int64_t*>(duckdb_vector_get_data(counts));
  auto* values = static_cast<double*>(duckdb_vector_get_data(result));
  idx_t size = duckdb_data_chunk_get_size(input);
  for (idx_t row = 0; row < size; ++row) {
    if (!is_valid(sums_valid, row) || !is_valid(counts_valid, row) || count[row] <= 0) {
      set_null(result, row);
    } else {
      values[row] = exact_quotient(text_of(sum[row]), static_cast<uint64_t>(count[row]));
    }
  }
}

}  // namespace

double exact_quotient(std::string_view sum, uint64_t count) {
  // Enough digits that what follows them can only matter by being there at all.
  constexpr size_t significant_digits = 45;
  bool negative = sum.starts_with('-');
  std::string digits;
  size_t scale = 0;
  bool fraction = false;
  unsigned __int128 rest = 0;
  auto divide = [&](int digit) {
    rest = rest * 10 + static_cast<unsigned>(digit);
    auto quotient = static_cast<int>(rest / count);
    rest %= count;
    if (quotient != 0 || !digits.empty()) digits.push_back(static_cast<char>('0' + quotient));
  };
  for (char c : sum) {
    if (c == '.') fraction = true;
    if (c < '0' || c > '9') continue;
    divide(c - '0');
    scale += fraction ? 1 : 0;
  }
  for (; rest != 0 && digits.size() < significant_digits; ++scale) divide(0);
  if (digits.empty()) return 0;
  if (rest != 0) {
    digits.push_back('1');
    ++scale;
  }
  std::string text = fmt::format("{}{}e-{}", negative ? "-" : "", digits, scale);
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Status add_exact_functions(duckdb_connection connection) {
  duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_DOUBLE);
  duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  duckdb_logical_type integer = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);

  duckdb_aggregate_function sum = duckdb_create_aggregate_function();
  duckdb_aggregate_function_set_name(sum, "exact_sum");
  duckdb_aggregate_function_add_parameter(sum, number);
  duckdb_aggregate_function_set_return_type(sum, number);
  duckdb_aggregate_function_set_functions(
      sum, [](duckdb_function_info) -> idx_t { return sizeof(ExactSum); },
      [](duckdb_function_info, duckdb_aggregate_state state) { new (static_cast<void*>(state)) ExactSum; }, sum_update,
      sum_combine, sum_finalize);
  bool added = duckdb_register_aggregate_function(connection, sum) == DuckDBSuccess;
  duckdb_destroy_aggregate_function(&sum);

  duckdb_scalar_function quotient = duckdb_create_scalar_function();
  duckdb_scalar_function_set_name(quotient, "exact_quotient");
  duckdb_scalar_function_add_parameter(quotient, text);
  duckdb_scalar_function_add_parameter(quotient, integer);
  duckdb_scalar_function_set_return_type(quotient, number);
  duckdb_scalar_function_set_function(quotient, quotient_call);
  added = duckdb_register_scalar_function(connection, quotient) == DuckDBSuccess && added;
  duckdb_destroy_scalar_function(&quotient);

  for (duckdb_logical_type* type : {&number, &text, &integer}) duckdb_destroy_logical_type(type);
  if (!added) return Error{ErrorCode::kInternal, "DuckDB does not take the validator's functions"};
  return add_wide_sums(connection);
}

}  // namespace tributary
