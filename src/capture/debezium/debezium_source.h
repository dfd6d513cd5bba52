// The ChangeSource for topics that Debezium's connectors write: one thread for each cluster and topic prefix, whose messages
// go to one client or, by the rule in its address, to many (capture/debezium/debezium_url.h).
//
// The offsets of the topics are remembered in the log, with the events, so no event is lost or counted twice whatever is
// killed; nothing is committed to Kafka.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "contracts/change_source.h"

namespace tributary {

struct DebeziumCaptureOptions {
  // What was read is appended when it is this much or this old.
  size_t batch_rows_max = 16'384;
  size_t batch_bytes_max = size_t{8} << 20;
  std::chrono::milliseconds flush_interval{10};

  // For read_again(): the database is the connector's alone, so a row that waits for a value is completed from the facts that
  // were kept. `processed` says whether everything below these ends of the log is among them. Empty: such rows wait.
  std::function<bool(const std::map<TopicPartition, Offset>&)> processed;
  std::function<Result<std::optional<EventBatch>>(const ClientId&, const std::string& table, const std::string& key)>
      complete_row;
  std::chrono::milliseconds complete_interval{200};

  std::chrono::milliseconds broker_limit{10'000};  // an answer takes at most
  std::chrono::milliseconds topics_interval{5'000};  // between two looks for topics and partitions that were made
  std::chrono::milliseconds retry_first{200};
  std::chrono::milliseconds retry_longest{10'000};
};

// The clients' urls are parse_debezium_url()'s.
std::unique_ptr<ChangeSource> make_debezium_source(std::vector<CaptureClient> clients, EventLog& log,
                                                   DebeziumCaptureOptions options);

// The columns of a client's tables as the newest messages of their topics have them, as describe_tables() of PostgreSQL.
Result<std::vector<TableLook>> describe_debezium_tables(const CaptureClient& client, std::chrono::milliseconds limit);

}  // namespace tributary
