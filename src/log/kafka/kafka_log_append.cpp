// Appending to the log on Kafka: events first, then what is remembered of them (docs/decisions/0050).
#include "codec/block.h"
#include "codec/event_record.h"
#include "log/kafka/kafka_log.h"

namespace tributary {
namespace {

constexpr std::chrono::seconds read_back_limit{8};

void add_header(rd_kafka_headers_t* headers, std::string_view name, std::string_view value) {
  rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                      static_cast<ssize_t>(value.size()));
}

// A compacted topic keeps one record of a key, so that one must have every value.
Status check_whole(const EventBatch& batch, size_t row) {
  if (batch.ops[row] == Op::kDelete) return {};
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    bool known = batch.columns[i].state(row) != CellState::kAbsent ||
                 (!batch.before.empty() && batch.before[i].state(row) != CellState::kAbsent);
    if (known) continue;
    return Error{
        ErrorCode::kInvalidInput,
        fmt::format("kafka: client {}: an update of {} leaves {} out, and a compacted topic takes whole rows alone; "
                    "ALTER TABLE {} REPLICA IDENTITY FULL, and then tributary client FILE reset {}",
                    batch.client, batch.schema->table, batch.schema->columns[i].name, batch.schema->table,
                    batch.client)};
  }
  return {};
}

Error taken_over(const ClientId& client) {
  return {ErrorCode::kAlreadyExists, fmt::format("kafka: another node has taken client {} over", client)};
}

}  // namespace

Status KafkaLog::append(std::span<const LogAppend> appends) {
  std::lock_guard lock(write_mutex_);
  for (const LogAppend& append : appends) {
    // What was read under a lease that is lost is not written under a new one: its memory is the older one's.
    if (lost_.contains(append.client)) return taken_over(append.client);
    if (!leases_.contains(append.client)) RETURN_IF_ERROR(take_lease(append.client));
  }
  Parts parts;
  RETURN_IF_ERROR(producer_.begin());
  bool any_events = false;
  for (const LogAppend& append : appends) {
    for (const EventBatch& batch : append.batches) {
      CHECK(batch.client == append.client, "events of {} in an append of {}", batch.client, append.client);
      RETURN_IF_ERROR(send_events(batch, parts));
      any_events = any_events || !batch.empty();
    }
  }
  if (any_events) {
    RETURN_IF_ERROR(producer_.finish());
    for (auto& [client, of_client] : parts) {
      for (auto& [at, part] : of_client) part.next = producer_.end(at).value();
    }
    RETURN_IF_ERROR(producer_.begin());
  }
  RETURN_IF_ERROR(send_states(appends, parts));
  RETURN_IF_ERROR(finish_state());
  for (const LogAppend& append : appends) {
    StateFold::Client now = state_->client(append.client);
    if (now.lease == leases_[append.client] && now.owner == writer_) continue;
    leases_.erase(append.client);
    lost_.insert(append.client);
    return taken_over(append.client);
  }
  return {};
}

Status KafkaLog::send_events(const EventBatch& batch, Parts& parts) {
  if (batch.empty()) return {};
  return options_.blocks ? send_blocks(batch, parts) : send_rows(batch, parts);
}

Status KafkaLog::send_rows(const EventBatch& batch, Parts& parts) {
  DebeziumSource source{.name = options_.pipeline + "." + batch.client.value, .database = {}};
  if (auto database = options_.databases.find(batch.client); database != options_.databases.end()) {
    source.database = database->second;
  }
  EventRecordWriter writer(batch, topics_.event_of(batch.domain), source, options_.schemas);
  EventRecord record;
  std::vector<PartitionId> subset = client_partitions(options_.partitioning, batch.client.value, batch.domain);
  for (const PartitionRows& part : rows_by_partition(batch, subset)) {
    std::map<Op, Target> targets;
    for (size_t range = 0; range < batch.ranges.size(); ++range) {
      writer.write_range(record, range);
      RETURN_IF_ERROR(send_event(record, writer, batch, target(batch, record.event, part.partition, parts)));
    }
    for (uint32_t row : part.rows) {
      writer.write_row(record, row);
      Op op = batch.ops[row];
      if (options_.shape.compact) RETURN_IF_ERROR(check_whole(batch, row));
      auto to = targets.find(op);
      if (to == targets.end()) to = targets.emplace(op, target(batch, record.event, part.partition, parts)).first;
      RETURN_IF_ERROR(send_event(record, writer, batch, to->second));
      if (options_.shape.compact && op == Op::kDelete) RETURN_IF_ERROR(send_tombstone(record, batch, to->second));
    }
  }
  return {};
}

KafkaLog::Target KafkaLog::target(const EventBatch& batch, const std::string& event, PartitionId partition,
                                  Parts& parts) {
  TopicPartition at{topics_.topic_of(batch.domain, event), partition};
  AppendedPart& part = parts[batch.client][at];
  part.at = at;
  return {producer_.destination(at), part};
}

// Each partition's share of the batch is one record.
Status KafkaLog::send_blocks(const EventBatch& batch, Parts& parts) {
  std::string event = fmt::format("{}.{}", topics_.event_of(batch.domain), op_event_name(Op::kCreate));
  std::vector<PartitionId> subset = client_partitions(options_.partitioning, batch.client.value, batch.domain);
  std::string version = std::to_string(batch.schema->version);
  auto compression = options_.compression == "zstd" ? BlockCompression::kZstd : BlockCompression::kLz4;
  for (const auto& [partition, share] : split_by_partition(batch, subset)) {
    std::string value = encode_block(share, compression);
    rd_kafka_headers_t* headers = rd_kafka_headers_new(4);
    add_header(headers, header_client, batch.client.value);
    add_header(headers, header_event, block_event);
    add_header(headers, header_schema_version, version);
    add_header(headers, header_table, batch.schema->table);
    auto [to, part] = target(batch, event, partition, parts);
    ++part.records;
    part.events += share.rows() + share.ranges.size();
    part.bytes += value.size();
    Status sent = producer_.send(to, {batch.client.value, value, headers});
    if (!sent.ok()) return with_context(sent.error(), fmt::format("client {}", batch.client));
  }
  return {};
}

Status KafkaLog::send_event(const EventRecord& record, const EventRecordWriter& writer, const EventBatch& batch,
                            const Target& target) {
  rd_kafka_headers_t* headers = rd_kafka_headers_new(6);
  add_header(headers, header_client, batch.client.value);
  add_header(headers, header_event, record.event);
  add_header(headers, header_position, record.position);
  add_header(headers, header_schema_version, writer.schema_version());
  add_header(headers, header_table, writer.table());
  if (!record.exact.empty()) add_header(headers, header_exact, record.exact);
  auto& [to, part] = target;
  ++part.records;
  ++part.events;
  part.bytes += record.key.size() + record.value.size();
  std::string_view key = record.key.empty() ? std::string_view() : std::string_view(record.key);
  Status sent = producer_.send(to, {key, record.value, headers});
  if (!sent.ok())
    return with_context(sent.error(),
                        fmt::format("client {}, event {} at {}", batch.client, record.event, record.position));
  return {};
}

// Says to whoever keeps the newest record of each key that this one may go. No event: readers of ours pass it over.
Status KafkaLog::send_tombstone(const EventRecord& record, const EventBatch& batch, const Target& target) {
  auto& [to, part] = target;
  ++part.records;
  part.bytes += record.key.size();
  Status sent = producer_.send(to, {record.key, std::nullopt});
  return sent.ok() ? sent : with_context(sent.error(), fmt::format("client {}", batch.client));
}

// One record a client where one entry changed, so that it replaces its older ones; else all entries, so that the
// change is atomic.
Status KafkaLog::send_states(std::span<const LogAppend> appends, Parts& parts) {
  auto parts_of = [&](const ClientId& client) {
    std::vector<AppendedPart> list;
    for (auto& [at, part] : parts[client]) list.push_back(part);
    parts[client].clear();
    return list;
  };
  for (const LogAppend& append : appends) {
    SourceRecordValue value{parts_of(append.client), {}};
    StateRecordKey key{.kind = StateRecordKind::kEnds, .client = append.client.value, .writer = {}, .name = {}};
    if (!append.state_changes.empty()) {
      key.kind = StateRecordKind::kSource;
      key.number = leases_.at(append.client);
    }
    if (append.state_changes.size() == 1) {
      key.name = append.state_changes.begin()->first;
      value.bytes = append.state_changes.begin()->second;
    } else if (!append.state_changes.empty()) {
      SourceState entries = state_->client(append.client).entries;
      for (const LogAppend& earlier : appends) {  // of the same client, in this very call
        if (earlier.client != append.client) continue;
        for (const auto& [name, bytes] : earlier.state_changes) entries[name] = bytes;
        if (&earlier == &append) break;
      }
      std::erase_if(entries, [](const auto& entry) { return entry.second.empty(); });
      value.bytes = encode_entries(entries);
    } else if (value.parts.empty()) {
      continue;
    }
    RETURN_IF_ERROR(send_state(key, value.encode()));
  }
  return {};
}

Status KafkaLog::send_state(const StateRecordKey& key, const std::string& value) {
  std::string bytes = key.encode();
  return producer_.send(producer_.destination({topics_.state(), PartitionId{0}}), {bytes, value});
}

Status KafkaLog::finish_state() {
  RETURN_IF_ERROR(producer_.finish());
  std::optional<Offset> end = producer_.end({topics_.state(), PartitionId{0}});
  return end ? state_->wait_applied(static_cast<int64_t>(end->value) - 1, read_back_limit) : Status();
}

}  // namespace tributary
