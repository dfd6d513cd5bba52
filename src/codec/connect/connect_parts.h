// What reading Kafka Connect's values needs in more than one file. Internal to codec/connect.
#pragma once

#include <string>
#include <string_view>

#include "codec/connect/connect_form.h"

namespace tributary {

// Bytes that a text of the form (kBase64, kBase64Url, kHex) stands for, appended. False: it is none.
bool append_bytes_of(std::string& out, ConnectKind kind, std::string_view text);

// A token of JSON without the space behind it.
std::string_view trimmed(std::string_view token);

// A time's number in microseconds, rounded down; false: out of range.
bool to_micros(const ConnectForm& form, int64_t number, int64_t& micros);

// Forms. `plain`: JSON's own boolean, number or text.
ConnectForm plain_form(TypeId type, std::string source_type);
ConnectForm numeric_form(ConnectKind kind, LogicalType type, std::string source_type, uint32_t scale = 0);
enum class TimeUnit : uint8_t { kMilli, kMicro, kNano };
ConnectForm time_form(ConnectKind kind, TypeId type, std::string source_type, TimeUnit unit);

// The type of PostgreSQL's numeric(precision, scale); precision -1: numeric without digits.
LogicalType numeric_type(int precision, int scale);

}  // namespace tributary
