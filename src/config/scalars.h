// The scalars of a pipeline file: sizes, durations, addresses, names. Pure; nullopt or a reason where the text is none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/pipeline.h"

namespace tributary {

// What a person sees of a text that is wrong: on one line, shortened to 60 bytes.
std::string shown(std::string_view text);

std::optional<uint64_t> parse_count(std::string_view text);  // "20000"
std::optional<uint64_t> parse_size(std::string_view text);  // "20GiB", "512MiB", "10GB", "4096"
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);  // "500ms", "30s", "5m", "2h", "7d"

// "placed_at + 90d" → column and duration, "90d" → no column; of whole seconds, at least one.
std::optional<std::pair<std::string, std::chrono::milliseconds>> parse_ttl(std::string_view text);

bool is_name(std::string_view text);  // [a-z][a-z0-9_]{0,39}
bool is_table(std::string_view text);  // schema.table, neither empty

// How an attribute's plain text is typed: true → bool, 12 → int64, 0.19 → decimal(2,2), 1e3 → float64, else text.
LogicalType attribute_type(std::string_view text);

// An address without a password. An error's message does not repeat the address, which may hold one.
Result<SourceUrl> parse_source_url(std::string_view text);

// "127.0.0.1:8080", "[::1]:8080" → host and port.
bool parse_host_and_port(std::string_view text, std::string& host, uint16_t& port);

// What follows kafka:// : "USER@HOST:PORT,HOST" → the user, percent-decoded, and every broker with its port (9092 where
// none is written).
struct KafkaAddress {
  std::string user;
  std::string brokers;
};
Result<KafkaAddress> parse_kafka_address(std::string_view text);
std::vector<std::string> split_brokers(std::string_view brokers);

}  // namespace tributary
