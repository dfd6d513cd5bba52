// Logical types as ClickHouse's, and what those cannot hold (docs/types.md, "ClickHouse types").
#pragma once

#include <optional>
#include <string>

#include "contracts/analytics.h"

namespace tributary {

// {kDecimal, 12, 2}, nullable → "Nullable(Decimal(12, 2))".
std::string clickhouse_type(const LogicalType& type, bool nullable);

// Bytes of one value on the wire (Native format); 0 for String.
size_t clickhouse_width(const LogicalType& type);

// ClickHouse documents Date32 and DateTime64 for these days: 1900-01-01 to 2299-12-31.
inline constexpr int32_t clickhouse_day_min = -25567;
inline constexpr int32_t clickhouse_day_max = 120529;
inline constexpr int64_t clickhouse_micros_min = int64_t{clickhouse_day_min} * 86'400'000'000;
inline constexpr int64_t clickhouse_micros_end = (int64_t{clickhouse_day_max} + 1) * 86'400'000'000;

// The narrowest ClickHouse type that holds every value of both, NULL included where either has it; nullopt without one.
// Both as ClickHouse prints them. ("Int32", "Nullable(Int16)") → "Nullable(Int32)".
std::optional<std::string> clickhouse_common_type(const std::string& a, const std::string& b);

// The technical columns of every table (docs/formats/analytics-table.md).
inline constexpr const char* client_id_column = "client_id";
inline constexpr const char* key_column = "_key";
inline constexpr const char* version_column = "_version";
inline constexpr const char* deleted_column = "_deleted";
inline constexpr const char* written_column = "_written";  // of a table of versions (history_table.h), as the next
inline constexpr const char* first_column = "_first";
inline constexpr const char* unrepresentable_column = "_unrepresentable";

}  // namespace tributary
