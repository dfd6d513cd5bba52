#include "store/clickhouse/clickhouse_url.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/percent.h"

namespace tributary {
namespace {

constexpr std::string_view plain_scheme = "clickhouse://";
constexpr std::string_view tls_scheme = "clickhouse+https://";
constexpr size_t database_bytes_max = 100;
constexpr unsigned deduplication_window = 100;

Error wrong(std::string what) { return Error{ErrorCode::kInvalidInput, std::move(what)}; }

std::optional<unsigned> number(std::string_view text, unsigned max) {
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0 || value > max) return std::nullopt;
  return value;
}

// "%2F" → "/"; nullopt for a % that begins no %XX.
bool is_database(std::string_view name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  auto fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= database_bytes_max && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), fits) && name != "system" && name != "information_schema" &&
         name != "INFORMATION_SCHEMA";
}

Status set_parameter(std::string_view name, const std::string& value, ClickHouseTarget& target) {
  if (name == "ca") {
    if (target.endpoint.url.starts_with("http://")) return wrong("ca is of clickhouse+https://; this address is not");
    target.endpoint.ca_file = value;
  } else if (name == "compression") {
    auto known = {HttpCompression::kLz4, HttpCompression::kZstd};
    auto found = std::find_if(known.begin(), known.end(), [&](auto each) { return content_encoding(each) == value; });
    if (found == known.end() && value != "none") return wrong("compression is zstd, lz4 or none");
    target.endpoint.compression = found == known.end() ? HttpCompression::kNone : *found;
  } else if (name == "cluster") {
    if (value.empty()) return wrong("cluster is a cluster's name; `SELECT cluster FROM system.clusters` lists them");
    target.layout.cluster = value;
  } else if (name == "timeout") {
    std::string_view text = value;
    auto seconds = text.ends_with('s') ? number(text.substr(0, text.size() - 1), 3600) : std::nullopt;
    if (!seconds) return wrong("timeout is a number of seconds from 1s to 3600s, like 120s");
    target.endpoint.timeout = std::chrono::seconds(*seconds);
  } else {
    return wrong("the address has a parameter that is not known; there are ca, compression, cluster and timeout");
  }
  return {};
}

}  // namespace

bool is_clickhouse_url(std::string_view text) { return text.starts_with(plain_scheme) || text.starts_with(tls_scheme); }

Result<ClickHouseTarget> parse_clickhouse_url(std::string_view text) {
  if (!is_clickhouse_url(text)) return wrong("write clickhouse://user@host:8123/database");
  bool tls = text.starts_with(tls_scheme);
  std::string_view rest = text.substr(tls ? tls_scheme.size() : plain_scheme.size());
  if (std::any_of(rest.begin(), rest.end(), [](unsigned char c) { return c <= ' ' || c == 0x7F || c == '#'; })) {
    return wrong("an address has no spaces and no #; write %20 and %23");
  }
  size_t question = std::min(rest.find('?'), rest.size());
  std::string_view parameters = rest.substr(std::min(question + 1, rest.size()));
  rest = rest.substr(0, question);
  size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  std::string_view database = rest.substr(std::min(slash + 1, rest.size()));
  ClickHouseTarget target{.endpoint = {.compression = HttpCompression::kLz4},
                          .layout = {.deduplication_window = deduplication_window}};
  if (size_t at = authority.rfind('@'); at != std::string_view::npos) {
    auto user = percent_decoded(authority.substr(0, at));
    // As it is sent in a header.
    bool fits = user && std::all_of(user->begin(), user->end(), [](unsigned char c) { return c >= ' ' && c != 0x7F; });
    if (!fits || authority.substr(0, at).find(':') != std::string_view::npos) {
      return wrong("before the @ stands a user's name alone; the password is the stage's password:");
    }
    target.endpoint.user = *user;
    authority.remove_prefix(at + 1);
  }
  std::string_view port = tls ? "8443" : "8123";
  size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
  }
  if (authority.empty()) return wrong("the address names no host; write clickhouse://user@host:8123/database");
  if (authority.find(':') != std::string_view::npos && !authority.starts_with('[')) {
    return wrong("an IPv6 address stands in brackets: clickhouse://[::1]:8123/database");
  }
  if (!number(port, 65535)) return wrong("the port is no number from 1 to 65535");
  if (port == "9000" || port == "9440") {
    return wrong("the port is that of ClickHouse's own protocol; the HTTP interface has 8123, or 8443 with TLS");
  }
  if (!is_database(database)) {
    return wrong(
        "after the host stands the database for the tables, of letters, digits and _, and none of ClickHouse's own: "
        "clickhouse://user@host:8123/analytics");
  }
  target.endpoint.url = fmt::format("{}://{}:{}", tls ? "https" : "http", authority, port);
  target.layout.tables = database;
  target.layout.clients_prefix = target.layout.tables + "_";
  while (!parameters.empty()) {
    size_t end = std::min(parameters.find('&'), parameters.size());
    std::string_view parameter = parameters.substr(0, end);
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
    size_t equals = std::min(parameter.find('='), parameter.size());
    auto value = percent_decoded(parameter.substr(std::min(equals + 1, parameter.size())));
    if (!value) return wrong("a parameter has a % that begins no %XX");
    RETURN_IF_ERROR(set_parameter(parameter.substr(0, equals), *value, target));
  }
  return target;
}

}  // namespace tributary
