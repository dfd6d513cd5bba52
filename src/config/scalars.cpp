#include "config/scalars.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>

#include "base/percent.h"

namespace tributary {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// A whole number followed by one of `units`, without overflow.
template <size_t n>
std::optional<uint64_t> parse_with_unit(std::string_view text, const std::array<Unit, n>& units) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  for (const Unit& candidate : units) {
    if (candidate.name != unit) continue;
    uint64_t value = 0;
    if (__builtin_mul_overflow(number, candidate.factor, &value)) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

Error bad_url(std::string reason) { return {ErrorCode::kInvalidInput, std::move(reason)}; }

constexpr std::string_view no_password =
    "a password in the address would show in logs and process lists; take it out and write "
    "password: ${env:NAME} or ${file:/path} beside it";

Status parse_parameters(std::string_view query, SourceUrl& url) {
  while (!query.empty()) {
    std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    size_t equals = pair.find('=');
    auto name = percent_decoded(pair.substr(0, equals));
    auto value = equals == std::string_view::npos ? std::nullopt : percent_decoded(pair.substr(equals + 1));
    if (!name || name->empty() || !value) return bad_url("after ? come name=value pairs, joined by &");
    std::string folded = lower(*name);
    if (folded.find("password") != std::string::npos) return bad_url(std::string(no_password));
    if (!url.parameters.emplace(*name, *value).second) {
      return bad_url(fmt::format("the parameter {} is given twice", *name));
    }
  }
  return {};
}

Status parse_authority(std::string_view authority, SourceUrl& url) {
  size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    std::string_view user = authority.substr(0, at);
    if (user.find(':') != std::string_view::npos) return bad_url(std::string(no_password));
    auto decoded = percent_decoded(user);
    if (!decoded) return bad_url("the user's name has a % that begins no %XX");
    url.user = *decoded;
    authority.remove_prefix(at + 1);
  }
  size_t colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad_url("the host has a [ without its ]");
    if (colon != std::string_view::npos && colon < close) colon = std::string_view::npos;
  }
  if (colon != std::string_view::npos) {
    auto port = parse_count(authority.substr(colon + 1));
    if (!port || *port == 0 || *port > 65535) return bad_url("the port is no number from 1 to 65535");
    url.port = static_cast<uint16_t>(*port);
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[')) authority = authority.substr(1, authority.size() - 2);
  auto host = percent_decoded(authority);
  if (!host) return bad_url("the host has a % that begins no %XX");
  url.host = host->starts_with('/') ? *host : lower(*host);
  return {};
}

}  // namespace

std::string shown(std::string_view text) {
  std::string out(text.substr(0, 60));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  while (!out.empty() && (out.back() & 0xC0) == 0x80) out.pop_back();  // do not cut a character in two
  return text.size() > out.size() ? out + "…" : out;
}

std::optional<uint64_t> parse_count(std::string_view text) {
  return parse_with_unit(text, std::array<Unit, 1>{{{"", 1}}});
}

std::optional<uint64_t> parse_size(std::string_view text) {
  constexpr uint64_t kib = 1024;
  return parse_with_unit(text, std::array<Unit, 10>{{{"", 1},
                                                     {"B", 1},
                                                     {"KiB", kib},
                                                     {"MiB", kib * kib},
                                                     {"GiB", kib * kib * kib},
                                                     {"TiB", kib * kib * kib * kib},
                                                     {"KB", 1000},
                                                     {"MB", 1000'000},
                                                     {"GB", 1000'000'000},
                                                     {"TB", 1000'000'000'000}}});
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds(0);
  auto value = parse_with_unit(
      text, std::array<Unit, 5>{{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}});
  constexpr uint64_t century_millis = 36'525ull * 86'400'000;
  if (!value || *value > century_millis) return std::nullopt;
  return std::chrono::milliseconds(*value);
}

std::optional<std::pair<std::string, std::chrono::milliseconds>> parse_ttl(std::string_view text) {
  auto trimmed = [](std::string_view part) {
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    return part;
  };
  size_t plus = text.rfind('+');
  std::string_view column = plus == std::string_view::npos ? "" : trimmed(text.substr(0, plus));
  if (plus != std::string_view::npos && column.empty()) return std::nullopt;
  auto after = parse_duration(trimmed(text.substr(plus == std::string_view::npos ? 0 : plus + 1)));
  if (!after || after->count() < 1000 || after->count() % 1000 != 0) return std::nullopt;
  return std::pair(std::string(column), *after);
}

bool is_name(std::string_view text) {
  auto lower_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return !text.empty() && text.size() <= 40 && lower_letter(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return lower_letter(c) || (c >= '0' && c <= '9') || c == '_'; });
}

bool is_table(std::string_view text) {
  size_t dot = text.find('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < text.size() && text.size() <= 200;
}

LogicalType attribute_type(std::string_view text) {
  if (text == "true" || text == "false") return {TypeId::kBool};
  std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (digits.empty() || !is_digit(digits[0])) return {TypeId::kText};
  // 007 and 00123 are codes, not numbers.
  if (digits.size() > 1 && digits[0] == '0' && is_digit(digits[1])) return {TypeId::kText};
  int64_t integer = 0;
  const char* end = text.data() + text.size();
  if (auto [last, error] = std::from_chars(text.data(), end, integer); error == std::errc{} && last == end) {
    return {TypeId::kInt64};
  }
  size_t point = digits.find('.');
  bool plain = std::all_of(digits.begin(), digits.end(), [&](char c) { return is_digit(c) || c == '.'; });
  if (plain && point != std::string_view::npos && digits.find('.', point + 1) == std::string_view::npos &&
      point + 1 < digits.size() && digits.size() <= 39) {
    size_t scale = digits.size() - point - 1;
    size_t whole = digits.substr(0, point) == "0" ? 0 : point;
    return {TypeId::kDecimal, static_cast<uint8_t>(whole + scale), static_cast<uint8_t>(scale)};
  }
  double real = 0;
  if (auto [last, error] = std::from_chars(text.data(), end, real); error == std::errc{} && last == end) {
    return {TypeId::kFloat64};
  }
  return {TypeId::kText};
}

Result<SourceUrl> parse_source_url(std::string_view text) {
  SourceUrl url;
  url.text = text;
  size_t colon = text.find("://");
  if (colon == std::string_view::npos) return bad_url("write postgresql://user@host/database");
  url.scheme = lower(text.substr(0, colon));
  if (url.scheme == "postgres") url.scheme = "postgresql";
  if (url.scheme == "mariadb") url.scheme = "mysql";
  constexpr std::string_view schemes[] = {"postgresql", "mysql", "debezium+kafka"};
  if (std::find(std::begin(schemes), std::end(schemes), url.scheme) == std::end(schemes)) {
    return bad_url("a source is postgresql://… or debezium+kafka://… (mysql:// comes with a later version)");
  }
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c == 0x7F; })) {
    return bad_url("an address has no spaces; write %20");
  }
  std::string_view rest = text.substr(colon + 3);
  if (url.scheme == "debezium+kafka") {
    // A list of brokers and what the connector wrote: whoever reads it knows the rest (PlanFunctions::check_source).
    size_t slash = std::min(rest.find('/'), rest.size());
    url.host = lower(rest.substr(0, slash));
    url.database = rest.substr(std::min(slash + 1, rest.size()));
    url.database = url.database.substr(0, url.database.find('?'));
    if (url.host.find('@') != std::string::npos) return bad_url("a user of the brokers is the parameter sasl.username");
    return url;
  }
  rest = rest.substr(0, rest.find('#'));
  size_t question = rest.find('?');
  if (question != std::string_view::npos) {
    RETURN_IF_ERROR(parse_parameters(rest.substr(question + 1), url));
    rest = rest.substr(0, question);
  }
  size_t slash = rest.find('/');
  RETURN_IF_ERROR(parse_authority(rest.substr(0, slash), url));
  if (slash != std::string_view::npos) {
    auto database = percent_decoded(rest.substr(slash + 1));
    if (!database) return bad_url("the database's name has a % that begins no %XX");
    url.database = *database;
  }
  auto parameter = [&](const char* name, std::string& into) {
    auto found = url.parameters.find(name);
    if (found != url.parameters.end() && into.empty()) into = found->second;
  };
  parameter("host", url.host);
  parameter("user", url.user);
  parameter("dbname", url.database);
  if (auto found = url.parameters.find("port"); found != url.parameters.end() && url.port == 0) {
    auto port = parse_count(found->second);
    if (!port || *port == 0 || *port > 65535) return bad_url("the port is no number from 1 to 65535");
    url.port = static_cast<uint16_t>(*port);
  }
  if (url.port == 0) url.port = url.scheme == "mysql" ? 3306 : 5432;
  if (url.database.empty()) {
    return bad_url("the address names no database; write postgresql://user@host/database");
  }
  return url;
}

bool parse_host_and_port(std::string_view text, std::string& host, uint16_t& port) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  auto number = parse_count(text.substr(colon + 1));
  if (!number || *number > 65535) return false;
  std::string_view name = text.substr(0, colon);
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  if (name.empty() || name.find_first_of("[]/ @") != std::string_view::npos) return false;
  host = name;
  port = static_cast<uint16_t>(*number);
  return true;
}

std::vector<std::string> split_brokers(std::string_view brokers) {
  std::vector<std::string> list;
  while (true) {
    size_t comma = std::min(brokers.find(','), brokers.size());
    list.emplace_back(brokers.substr(0, comma));
    if (comma == brokers.size()) return list;
    brokers.remove_prefix(comma + 1);
  }
}

Result<KafkaAddress> parse_kafka_address(std::string_view text) {
  KafkaAddress address;
  if (size_t sign = text.rfind('@'); sign != std::string_view::npos) {
    auto user = percent_decoded(text.substr(0, sign));
    if (!user || user->empty()) return bad_url("the user before @ is empty, or has a % that begins no %XX");
    address.user = *user;
    text.remove_prefix(sign + 1);
  }
  for (const std::string& broker : split_brokers(text)) {
    bool has_port = broker.rfind(':') != std::string::npos && !broker.ends_with(']');
    std::string whole = has_port ? broker : broker + ":9092";
    std::string host;
    uint16_t port = 0;
    if (!parse_host_and_port(whole, host, port) || port == 0 || host.find('?') != std::string::npos) {
      return bad_url(fmt::format("\"{}\" is no broker; write kafka://HOST:PORT,HOST:PORT", shown(broker)));
    }
    address.brokers += (address.brokers.empty() ? "" : ",") + whole;
  }
  return address;
}

}  // namespace tributary
