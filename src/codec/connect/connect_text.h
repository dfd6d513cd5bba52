// Values of Kafka Connect as PostgreSQL's text form has them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tributary {

// Digits of `bytes` (big-endian two's complement, of any length) with the point `scale` digits from the right; all of the
// scale's digits are shown. A negative scale appends zeros.
std::string unscaled_to_decimal(std::string_view bytes, int64_t scale);

// As float8out and float4out write a finite number: the shortest that reads back, plain between 1e-4 and 1e15 (1e6 for
// a float4).
void put_postgres_float(std::string& out, double value);
void put_postgres_float(std::string& out, float value);

// "03:04:05.6789" of a time since midnight, 24:00:00 included; false: no time of a day.
bool put_postgres_time(std::string& out, int64_t micros);
// "2024-02-29 23:59:59.5", "… BC" for years before 1.
void put_postgres_timestamp(std::string& out, int64_t micros, bool with_zone);
void put_postgres_date(std::string& out, int32_t days);

// The bits of little-endian `bytes`, the most significant first, `length` of them; 0: from the first that is set.
std::string bits_to_text(std::string_view bytes, uint32_t length);

// One element between an array's braces, with quotes where array_out puts them.
void put_array_element(std::string& out, std::string_view text);

// A number as JSON writes it without an exponent, "1.5E3" → "1500". nullopt: none, or of more than 100,000 digits.
std::optional<std::string> plain_number(std::string_view token);

}  // namespace tributary
