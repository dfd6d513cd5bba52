// The pipeline file, read and checked: what the user wants (docs/formats/pipeline-file.md has every key).
//
//   auto loaded = load_pipeline("shop.yaml");
//   if (auto* errors = std::get_if<std::vector<FileError>>(&loaded)) { … print each, exit 78 … }
//   const Pipeline& pipeline = std::get<Pipeline>(loaded);
//
// The whole grammar is accepted; what is not built yet is named by not_built_yet(), which `run` asks and `check` mentions.
// Plain data. Passwords are in `ClientConfig::password` alone, and in no message.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/strong.h"
#include "config/file_error.h"
#include "model/column.h"
#include "model/partitioning.h"

namespace tributary {

// A database's address without its password.
struct SourceUrl {
  std::string text;  // as given: postgresql://tributary@db.example/shop
  std::string scheme;  // "postgresql", "mysql", "debezium+kafka"
  std::string user;
  std::string host;  // lower case; a folder for Unix sockets
  uint16_t port = 0;
  std::string database;
  std::map<std::string, std::string> parameters;
  TextPlace place;

  // Two sources with equal identities are one database.
  std::string identity() const;
};

// An attribute of a client: what SQL sees as client.NAME.
struct AttributeValue {
  std::string text;
  LogicalType type;  // bool, int64, decimal(p,s), float64 or text, by how the value is written
  friend bool operator==(const AttributeValue&, const AttributeValue&) = default;
};
using Attributes = std::map<std::string, AttributeValue>;

struct ClientLimits {
  uint64_t rows_per_second = 0;  // 0: unlimited
  uint64_t snapshot_rows_per_second = 0;  // 0: unlimited
  uint64_t retained_wal_bytes_max = 0;  // 0: only warn
  uint64_t queries_at_once = 0;  // 0: the gateway's default, as the rest
  uint64_t query_memory_bytes_max = 0;
  std::chrono::milliseconds query_time_max{0};
};

struct ClientConfig {
  ClientId id;
  SourceUrl source;
  std::string password;  // empty: none
  std::optional<SourceUrl> verify_source;  // a replica that `verify` reads instead
  std::string verify_password;  // of its user; empty: `password`
  Attributes attributes;
  ClientLimits limits;
  TextPlace place;
};

struct DomainConfig {
  std::string name;  // the relation's in SQL
  std::string table;  // "public.orders"
  std::string event;  // "order": names the topics
  bool history = false;
  std::map<std::string, std::string> columns;  // types that the user names, where a source's messages tell less
  TextPlace place;
};

struct ViewConfig {
  std::string name;
  std::string sql;
  std::vector<std::string> order_by;  // empty: the key columns
  std::string partition_by;
  std::string ttl_column;  // of "placed_at + 90d"; empty where only the duration is given
  std::optional<std::chrono::milliseconds> ttl;
  bool history = false;
  std::map<std::string, std::string> settings;
  TextPlace place;
  std::map<std::string, TextPlace> places;  // of the values of order_by, ttl, and of each setting as "settings.NAME"
  std::vector<uint32_t> partition_offsets;  // of each byte of `partition_by` in the file
  std::vector<uint32_t> sql_offsets;  // of each byte of `sql` in the file
};

// A stage's choice: "embedded", "native", or a URL.
struct StageTarget {
  std::string at;
  std::string password;
  TextPlace place;
};

// How Kafka's brokers are reached; of kafka://USER@HOST:PORT,… and the keys beside it.
struct KafkaAccess {
  std::string brokers;  // "one.example:9093,two.example:9093"
  std::string user;  // empty: none; its password is the target's
  std::string sasl = "PLAIN";  // mechanism
  bool tls = false;
  std::string tls_ca;  // file of the authorities that brokers' certificates are signed by; empty: the system's
  std::string tls_certificate;  // our own, and its key: files, or both empty
  std::string tls_key;
  std::string compression = "lz4";  // of what we write
};

struct LogConfig {
  StageTarget target;
  KafkaAccess kafka;
  std::string topics = "{pipeline}.{event}";  // of names of topics, on Kafka
  uint32_t partitions = partitions_default;
  uint32_t partitions_per_client = partitions_per_client_default;
  uint32_t replication = 0;  // 0: the brokers' default
  bool schemas = false;  // records on Kafka carry Connect's schemas
  bool compact = false;  // topics of domains on Kafka are compacted
  bool blocks = false;  // records on Kafka are blocks of events, not JSON
  std::chrono::milliseconds retention{std::chrono::hours(24 * 7)};
  uint64_t retention_bytes_max = 0;  // 0: unlimited
};
struct ProcessConfig {
  StageTarget target;
  uint32_t workers = 0;  // 0: one a core
  std::chrono::milliseconds checkpoint_interval{20};  // between two rounds, at least
  uint64_t memory_bytes_max = 0;
};
struct RawConfig {
  StageTarget target;
  std::optional<std::chrono::milliseconds> ttl;
};
struct AnalyticsConfig {
  StageTarget target;
  uint64_t memory_bytes_max = 0;  // 0: the engine's default
  uint32_t threads = 0;
};
struct ServeConfig {
  std::string host;  // empty: nothing is served
  uint16_t port = 0;
  TextPlace place;
};

// `tests:`, run by `check`.
struct TestValue {
  bool null = false;
  std::string text;
};
using TestRow = std::vector<std::pair<std::string, TestValue>>;
enum class TestChangeKind : uint8_t { kInsert, kUpdate, kDelete };
struct TestChange {
  TestChangeKind kind = TestChangeKind::kInsert;
  std::map<std::string, std::vector<TestRow>> rows;  // by domain; updates and deletes name the row by its key's columns
};
struct TestCase {
  std::string name;
  std::string client;  // empty: one without attributes
  std::map<std::string, std::vector<TestRow>> given;  // by domain
  std::vector<TestChange> changes;  // one after the other
  std::map<std::string, std::vector<TestRow>> expect;  // by view
  TextPlace place;
};

struct Pipeline {
  std::string file;  // as given: errors begin with it
  std::shared_ptr<const std::string> text;  // of the file
  std::string name;
  std::map<std::string, ClientConfig> clients;
  std::map<std::string, DomainConfig> domains;
  std::vector<ViewConfig> views;  // in the file's order; empty: each domain is its own view
  std::vector<TestCase> tests;
  LogConfig log;
  ProcessConfig process;
  RawConfig raw;
  AnalyticsConfig analytics;
  ServeConfig serve;
  std::string data;  // directory, absolute or relative to the working directory
  std::vector<FileError> notes;  // what `check` mentions: passwords written in the file, …

  // "tributary_shop_acme": slot and publication of a client.
  std::string source_name(const ClientId& client) const;
  // Every attribute that a client has, with the type that holds all clients' values (text where they differ).
  std::map<std::string, LogicalType> attribute_types() const;
  // A place in a view's SQL as a place in the file.
  TextPlace place_in_file(const ViewConfig& view, TextPlace in_sql) const;
  // The place of a key's value; the view's own where there is none.
  TextPlace place_of(const ViewConfig& view, const std::string& key) const;
};

struct LoadOptions {
  // The value of an environment variable. Default: the process's.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  // Whether the passwords of clients' databases are wanted: false makes one that is not to be had here empty, no error.
  bool source_passwords = true;
  // What is found in views' SQL and in addresses, to be told with the file's own errors. Asked only where there are some,
  // and none of them may hide a relation or an attribute. May be empty.
  std::function<std::vector<FileError>(const Pipeline&)> further;
};

// Reads and checks the file at `path`. All errors at once, sorted by place.
std::variant<Pipeline, std::vector<FileError>> load_pipeline(const std::string& path, const LoadOptions& options = {});

// The same of a text, as if it were the content of `path`.
std::variant<Pipeline, std::vector<FileError>> parse_pipeline(const std::string& path, std::string text,
                                                              const LoadOptions& options = {});

// What the file asks for and this version does not do, at its place.
std::vector<FileError> not_built_yet(const Pipeline& pipeline);

// What the file asks for and has no effect with its other choices or in this version: notes of `check` and `run`.
std::vector<FileError> without_effect(const Pipeline& pipeline);

// Appends the client's value of an attribute to a column of `attribute_types()`'s type; NULL where the client has none.
void append_attribute(Column& column, const Attributes& attributes, const std::string& name);

}  // namespace tributary
