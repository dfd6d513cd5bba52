// EventLog: the central log between capture and processing. Embedded on RocksDB, or Kafka.
//
// Topics are domains ("orders"); inside a topic an event's name (created, updated, deleted, snapshot) selects.
// A topic has partitions; a client's rows go to a few of them (docs/formats/partitioning.md), a row key always to
// the same one, so per key the log keeps the order in which capture appended.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/event_batch.h"

namespace tributary {

struct TopicPartition {
  std::string topic;
  PartitionId partition;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

// What capture remembers of one source, as opaque bytes under names that capture chooses ("stream", "snapshot/orders").
using SourceState = std::map<std::string, std::string>;

struct LogAppend {
  ClientId client;
  std::vector<EventBatch> batches;
  SourceState state_changes;  // written in the same atomic write; an empty value removes the entry
};

// A run of events of one client and domain of a partition.
struct LogBlock {
  TopicPartition at;
  Offset first;
  Offset next;  // whoever has this block, and those that were read with it and before it, goes on from here
  uint32_t events = 0;
  std::string bytes;  // encoded (codec/block.h); empty where the log holds events in another form
  std::shared_ptr<const EventBatch> decoded;  // where the log had to decode them anyway
};

// One reader of a log, with whatever it holds ready of it. Readers do not disturb each other. Not thread-safe.
class LogReader {
 public:
  virtual ~LogReader() = default;

  // Whole blocks in order, the first of them holding `from` (or the first after it), until `bytes_max` is passed. At least
  // one block where there is any; a log that is not on this machine may give none until it has arrived.
  virtual Result<std::vector<LogBlock>> read(const TopicPartition& partition, Offset from, size_t bytes_max) = 0;
};

class EventLog {
 public:
  virtual ~EventLog() = default;

  // Appends all of it in one atomic write and returns when it is durable. After an error no reader sees any part.
  // kResourceExhausted: the disk is full; the caller keeps what it has and tries again later. Thread-safe.
  virtual Status append(std::span<const LogAppend> appends) = 0;

  // Clients of which capture ever remembered something, in the pipeline file still or not.
  virtual Result<std::vector<ClientId>> known_clients() = 0;
  // The newest durable state of a source. Empty for one never seen.
  virtual Result<SourceState> source_state(const ClientId& client) = 0;
  // The same for somebody who only looks, and does not mean to write for the client.
  virtual Result<SourceState> peek_source_state(const ClientId& client) { return source_state(client); }

  // Gives `schema` its version: the newest registered one's where the content is the same, else the next number.
  // Durable when it returns. Batches given to append() carry the schema returned here. Thread-safe.
  virtual Result<SchemaPtr> register_schema(const ClientId& client, const TableSchema& schema) = 0;
  virtual Result<SchemaPtr> schema(const ClientId& client, const std::string& table, uint32_t version) = 0;
  // The newest version of each of the client's tables.
  virtual Result<std::vector<SchemaPtr>> newest_schemas(const ClientId& client) = 0;

  // All partitions that hold or held events, with the offset that the next event will get.
  virtual std::map<TopicPartition, Offset> ends() = 0;
  virtual Result<Offset> first_offset(const TopicPartition& partition) = 0;
  // How often the partition was seen to be made anew since this process came to the log: a reader of an earlier life goes on at
  // first_offset(). Only a log that others can delete has more than none.
  virtual uint64_t life(const TopicPartition& /*partition*/) { return 0; }

  // Within the log's lifetime.
  virtual std::unique_ptr<LogReader> open_reader() = 0;
  // The events of a block that a reader gave. Thread-safe.
  virtual Result<std::shared_ptr<const EventBatch>> events_of(const LogBlock& block) = 0;

  // Returns when ends() is no longer `known_generation`'s, or after `limit`. append_generation() rises with each append.
  virtual uint64_t append_generation() = 0;
  virtual void wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) = 0;

  // Removes whole blocks before `offset`. Readers of removed offsets get the first kept block.
  virtual Status trim_before(const TopicPartition& partition, Offset offset) = 0;
};

}  // namespace tributary
