#include "capture/debezium/debezium_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tributary {
namespace {

constexpr std::string_view scheme = "debezium+kafka://";
constexpr std::array broker_settings = {"security.protocol",
                                        "ssl.ca.location",
                                        "ssl.certificate.location",
                                        "ssl.key.location",
                                        "ssl.endpoint.identification.algorithm",
                                        "sasl.mechanism",
                                        "sasl.username"};

Error bad(std::string what) { return {ErrorCode::kInvalidInput, std::move(what)}; }

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// "tenant:acme"
Status read_pair(std::pair<std::string, std::string>& into, const std::string& name, const std::string& value) {
  size_t colon = value.find(':');
  if (colon == 0 || colon == std::string::npos) return bad(fmt::format("{0}={1}: write {0}=NAME:VALUE", name, value));
  into = {value.substr(0, colon), value.substr(colon + 1)};
  return {};
}

Status read_parameter(DebeziumTarget& target, const std::string& name, const std::string& value) {
  if (name == "database") {
    target.database = value;
    return {};
  }
  if (name == "header") return read_pair(target.header, name, value);
  if (name == "column") return read_pair(target.column, name, value);
  if (name == "snapshots") {
    if (value != "whole" && value != "partial") return bad(fmt::format("snapshots={}: it is whole or partial", value));
    target.partial_snapshots = value == "partial";
    return {};
  }
  if (std::find(broker_settings.begin(), broker_settings.end(), name) != broker_settings.end()) {
    target.properties.emplace_back(name, value);
    return {};
  }
  if (name.ends_with(".mode") || name == "unavailable.value.placeholder") return target.modes.set(name, value);
  return bad(
      fmt::format("there is no parameter {}: there are database, header and column, which choose a client's "
                  "messages, snapshots, the connector's modes, and security.protocol, ssl.… and sasl.… of the brokers",
                  name));
}

}  // namespace

KafkaProperties DebeziumTarget::with_password(const std::string& password) const {
  KafkaProperties all = properties;
  bool asked = std::any_of(all.begin(), all.end(), [](const auto& entry) { return entry.first == "sasl.mechanism"; });
  if (asked && !password.empty()) all.emplace_back("sasl.password", password);
  return all;
}

Result<DebeziumTarget> parse_debezium_url(std::string_view url) {
  if (!url.starts_with(scheme)) return bad("write debezium+kafka://HOST:PORT/TOPIC-PREFIX");
  url.remove_prefix(scheme.size());
  std::string_view parameters;
  if (size_t question = url.find('?'); question != std::string_view::npos) {
    parameters = url.substr(question + 1);
    url = url.substr(0, question);
  }
  size_t slash = url.find('/');
  DebeziumTarget target;
  target.brokers = url.substr(0, slash);
  if (slash != std::string_view::npos) target.prefix = decoded(url.substr(slash + 1));
  if (target.brokers.empty() || target.brokers.find('@') != std::string::npos) {
    return bad("write debezium+kafka://HOST:PORT/TOPIC-PREFIX; a user is the parameter sasl.username");
  }
  if (target.prefix.empty()) return bad("it names no topic prefix; write debezium+kafka://HOST:PORT/TOPIC-PREFIX");
  target.properties.emplace_back("bootstrap.servers", target.brokers);
  while (!parameters.empty()) {
    size_t end = std::min(parameters.find('&'), parameters.size());
    std::string_view entry = parameters.substr(0, end);
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
    size_t equals = entry.find('=');
    if (equals == std::string_view::npos) return bad(fmt::format("{}: write NAME=VALUE", entry));
    RETURN_IF_ERROR(read_parameter(target, decoded(entry.substr(0, equals)), decoded(entry.substr(equals + 1))));
  }
  return target;
}

}  // namespace tributary
