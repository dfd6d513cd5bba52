#include "codec/connect/connect_parts.h"

#include <algorithm>

#include "base/hex.h"
#include "codec/json_text.h"
#include "codec/postgres/text_values.h"

namespace tributary {
namespace {

constexpr int64_t milli = 1000;

}  // namespace

bool append_bytes_of(std::string& out, ConnectKind kind, std::string_view text) {
  if (kind == ConnectKind::kHex) {
    auto bytes = from_hex(text);
    if (bytes) out += *bytes;
    return bytes.has_value();
  }
  if (kind != ConnectKind::kBase64Url) return append_from_base64(out, text);
  std::string standard(text);
  std::replace(standard.begin(), standard.end(), '-', '+');
  std::replace(standard.begin(), standard.end(), '_', '/');
  return append_from_base64(out, standard);
}

std::string_view trimmed(std::string_view token) {
  size_t end = token.find_last_not_of(" \t\r\n");
  return end == std::string_view::npos ? std::string_view() : token.substr(0, end + 1);
}

bool to_micros(const ConnectForm& form, int64_t number, int64_t& micros) {
  if (__builtin_mul_overflow(number, form.micros_per_unit, &micros)) return false;
  if (form.units_per_micro != 1) {
    int64_t rest = micros % form.units_per_micro;
    micros = micros / form.units_per_micro - (rest < 0);
  }
  return true;
}

ConnectForm plain_form(TypeId type, std::string source_type) {
  return {.kind = ConnectKind::kPlain, .type = {type}, .source_type = std::move(source_type)};
}

ConnectForm numeric_form(ConnectKind kind, LogicalType type, std::string source_type, uint32_t scale) {
  return {.kind = kind, .type = type, .source_type = std::move(source_type), .digits = scale};
}

ConnectForm time_form(ConnectKind kind, TypeId type, std::string source_type, TimeUnit unit) {
  return {.kind = kind,
          .type = {type},
          .source_type = std::move(source_type),
          .micros_per_unit = unit == TimeUnit::kMilli ? milli : 1,
          .units_per_micro = unit == TimeUnit::kNano ? milli : 1};
}

// numeric(p,s) as PostgreSQL's catalog has it; see numeric's type modifier in src/backend/utils/adt/numeric.c.
LogicalType numeric_type(int precision, int scale) {
  constexpr uint32_t numeric_oid = 1700;
  constexpr int header = 4;
  return postgres_logical_type(numeric_oid, ((precision << 16) | (scale & 0x7FF)) + header);
}

}  // namespace tributary
