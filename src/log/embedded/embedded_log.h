// EmbeddedLog: the event log on the pipeline's own RocksDB (docs/formats/log-block.md, "In the embedded log").
//
//   ASSIGN_OR_RETURN(auto log, EmbeddedLog::open(*storage, {}));
//   ASSIGN_OR_RETURN(SchemaPtr schema, log->register_schema(client, table_schema));
//   RETURN_IF_ERROR(log->append(std::array{LogAppend{client, {batch}, {{"stream", position}}}}));
//   auto blocks = log->read({"orders", PartitionId{3}}, Offset{0}, 4 << 20);
//
// A topic is a domain: append() puts each batch into the topic `batch.domain`. Rows and range facts take one offset each;
// offsets have no gaps. Batches may be of any size: they are cut into blocks.
//
// Appends of several threads at once are encoded in parallel and committed together by one synced write.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "contracts/event_log.h"
#include "log/append_ledger.h"
#include "model/partitioning.h"
#include "storage/storage.h"

namespace tributary {

struct EmbeddedLogOptions {
  Partitioning partitioning;
  uint32_t block_rows = 64 * 1024;  // a block is cut at whichever comes first
  size_t block_bytes = 4 << 20;  // of values, uncompressed
  size_t commit_bytes_max = 64 << 20;  // encoded bytes that one group commit takes at most, beyond its first append
};

struct RetentionLimits {
  std::chrono::seconds age{0};  // since the append; 0: unlimited
  uint64_t bytes = 0;  // of all blocks together; 0: unlimited
};

class EmbeddedLog final : public EventLog {
 public:
  // Reads ends and schemas back. `storage` outlives the log.
  static Result<std::unique_ptr<EmbeddedLog>> open(Storage& storage, EmbeddedLogOptions options);
  ~EmbeddedLog() override;

  Status append(std::span<const LogAppend> appends) override;
  Result<std::vector<ClientId>> known_clients() override;
  Result<SourceState> source_state(const ClientId& client) override;
  Result<SchemaPtr> register_schema(const ClientId& client, const TableSchema& schema) override;
  Result<SchemaPtr> schema(const ClientId& client, const std::string& table, uint32_t version) override;
  Result<std::vector<SchemaPtr>> newest_schemas(const ClientId& client) override;
  std::map<TopicPartition, Offset> ends() override;
  // What lies behind `from` (append_ledger.h). Reads nothing.
  LogLag lag(const std::map<TopicPartition, Offset>& from);
  Result<Offset> first_offset(const TopicPartition& partition) override;
  std::unique_ptr<LogReader> open_reader() override;
  Result<std::shared_ptr<const EventBatch>> events_of(const LogBlock& block) override;
  uint64_t append_generation() override;
  void wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) override;
  Status trim_before(const TopicPartition& partition, Offset offset) override;

  // What a reader's read() gives. Thread-safe.
  Result<std::vector<LogBlock>> read(const TopicPartition& partition, Offset from, size_t bytes_max);

  // Removes the oldest whole blocks while a limit is passed, never at or behind keep_from(partition): the offset that
  // processing needs next. `now_micros` is UTC microseconds since 1970.
  Status enforce_retention(const RetentionLimits& limits, int64_t now_micros,
                           const std::function<Offset(const TopicPartition&)>& keep_from);

  // Bytes of all blocks kept.
  uint64_t kept_bytes() const;
  const Partitioning& partitioning() const;

 private:
  struct State;
  explicit EmbeddedLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tributary
