// Dates and times of ISO 8601 as Java's formatters write them: any number of digits of a year behind a sign, as few
// digits of the fraction as are needed, "Z" or an offset. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tributary {

// "2024-02-29T23:59:59.5Z", "+294276-12-31T23:59:59+02:00" → microseconds since 1970-01-01 UTC. Digits finer than a
// microsecond must be zero. nullopt: it is none.
std::optional<int64_t> parse_iso_timestamp(std::string_view text);

// "2024-02-29", "2024-02-29Z" → days since 1970-01-01.
std::optional<int32_t> parse_iso_date(std::string_view text);

}  // namespace tributary
