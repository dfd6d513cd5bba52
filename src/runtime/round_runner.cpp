#include "runtime/round_runner.h"

#include <algorithm>

#include "base/bytes.h"
#include "codec/block.h"

namespace tributary {
namespace {

constexpr std::string_view checkpoint_key = "runtime/checkpoint";
constexpr std::string_view offset_prefix = "runtime/offset/";
constexpr std::string_view attributes_prefix = "runtime/attributes/";

std::string offset_key(const TopicPartition& partition) {
  std::string key(offset_prefix);
  put_string(key, partition.topic);
  put_u32_big(key, partition.partition.value);
  return key;
}

Result<uint64_t> stored_number(const Storage& storage, std::string_view key) {
  ASSIGN_OR_RETURN(auto value, storage.get(Family::kMeta, key));
  if (!value) return uint64_t{0};
  ByteReader reader(*value);
  uint64_t number = reader.u64();
  if (!reader.ok()) return Error{ErrorCode::kCorrupt, fmt::format("the stored value of {} is cut short", key)};
  return number;
}

std::string number_bytes(uint64_t number) {
  std::string bytes;
  put_u64(bytes, number);
  return bytes;
}

// Client and view of a dead letter's state key, and the row key.
std::string dead_letter_key(const ClientId& client, std::string_view view, std::string_view key) {
  std::string tail;
  CHECK(view.size() <= UINT8_MAX);
  put_u8(tail, static_cast<uint8_t>(view.size()));
  tail.append(view);
  tail.append(key);
  return state_key(static_cast<uint16_t>(StateOperator::kDeadLetter), client.value, tail);
}

std::optional<std::pair<ClientId, std::string>> dead_letter_owner(std::string_view key) {
  ByteReader reader(key);
  reader.u16_big();
  ClientId client{std::string(reader.bytes(reader.u8()))};
  std::string view(reader.bytes(reader.u8()));
  if (!reader.ok()) return std::nullopt;
  return std::pair{client, view};
}

std::string encode_dead_letter(const DeadRow& row) {
  std::string out;
  put_u8(out, 1);  // format version
  row.position.append_to(out);
  put_string(out, row.reason);
  return out;
}

}  // namespace

Result<std::unique_ptr<RoundRunner>> RoundRunner::open(RoundPorts ports, RoundLimits limits, std::vector<Table> tables,
                                                       std::map<ClientId, std::map<std::string, Column>> attributes) {
  std::unique_ptr<RoundRunner> runner(new RoundRunner(std::move(ports), limits));
  RETURN_IF_ERROR(runner->load(std::move(tables), std::move(attributes)));
  return runner;
}

Status RoundRunner::load(std::vector<Table> tables, std::map<ClientId, std::map<std::string, Column>> attributes) {
  ASSIGN_OR_RETURN(uint64_t checkpoint, stored_number(ports_.storage, checkpoint_key));
  checkpoint_ = checkpoint;
  StorageIterator offsets = ports_.storage.iterate(Family::kMeta, offset_prefix);
  for (; offsets.valid(); offsets.next()) {
    ByteReader key(offsets.key().substr(offset_prefix.size()));
    TopicPartition partition;
    partition.topic = key.string();
    partition.partition = PartitionId{key.u32_big()};
    ByteReader value(offsets.value());
    offsets_[partition] = Offset{value.u64()};
    if (!key.ok() || !value.ok()) return Error{ErrorCode::kCorrupt, "a stored offset does not decode"};
  }
  RETURN_IF_ERROR(offsets.status());

  std::string dead_prefix;
  put_u16_big(dead_prefix, static_cast<uint16_t>(StateOperator::kDeadLetter));
  StorageIterator dead = ports_.storage.iterate(Family::kState, dead_prefix);
  for (; dead.valid(); dead.next()) {
    dead_keys_.emplace(dead.key());
    if (auto owner = dead_letter_owner(dead.key())) ++dead_counts_[*owner];
  }
  RETURN_IF_ERROR(dead.status());

  RETURN_IF_ERROR(load_attributes(std::move(attributes)));
  for (const Table& table : tables) {
    ASSIGN_OR_RETURN(auto schemas, ports_.log.newest_schemas(table.client));
    for (const SchemaPtr& schema : schemas) {
      if (schema->table == table.table) newest_[{table.client, table.domain}] = schema;
    }
  }
  return replan();
}

// A client's attributes have a revision, which rises when they change.
Status RoundRunner::load_attributes(std::map<ClientId, std::map<std::string, Column>> attributes) {
  StorageBatch write;
  for (auto& [client, values] : attributes) {
    std::string content;
    for (const auto& [name, value] : values) {
      put_string(content, name);
      put_u8(content, static_cast<uint8_t>(value.type().id));
      put_u8(content, static_cast<uint8_t>(value.state(0)));
      if (value.is_value(0)) put_string(content, value.bytes(0));
    }
    std::string key = std::string(attributes_prefix) + client.value;
    ASSIGN_OR_RETURN(auto stored, ports_.storage.get(Family::kMeta, key));
    uint32_t revision = 1;
    bool same = false;
    if (stored) {
      ByteReader reader(*stored);
      uint32_t known = reader.u32();
      same = reader.rest() == content;
      revision = same ? known : known + 1;
    }
    if (!same) {
      std::string value;
      put_u32(value, revision);
      write.put(Family::kMeta, key, value + content);
    }
    attributes_[client] = {revision, std::move(values)};
  }
  return write.empty() ? Status() : ports_.storage.write(write);
}

Result<RoundOutcome> RoundRunner::run() {
  RoundOutcome outcome;
  ASSIGN_OR_RETURN(std::vector<LogBlock> blocks, read_blocks());
  if (blocks.empty()) return outcome;
  ASSIGN_OR_RETURN(std::deque<EventBatch> batches, decode(blocks));
  RETURN_IF_ERROR(learn_schemas(batches));

  StorageBatch write;
  RoundState state(ports_.storage);
  next_checkpoint_ = checkpoint_ + 1;
  outbox_index_ = 0;
  outbox_bytes_ = 0;
  std::vector<RawBlock> raw;
  for (size_t i = 0; i < blocks.size(); ++i) raw.push_back({&blocks[i], &batches[i]});
  RETURN_IF_ERROR(ports_.add_raw(write, raw));
  OutboxProgress progress = progress_of(blocks, batches);

  auto dead_keys = dead_keys_;
  auto dead_counts = dead_counts_;
  Status processed = process(std::move(batches), state, write, outcome);
  if (processed.ok()) {
    put_outbox(write, progress);
    state.add_to(write);
    for (const auto& consumed : progress.consumed) {
      write.put(Family::kMeta, offset_key({consumed.topic, consumed.partition}), number_bytes(consumed.next.value));
    }
    write.put(Family::kMeta, checkpoint_key, number_bytes(next_checkpoint_));
    processed = ports_.storage.write(write);
  }
  std::lock_guard lock(mutex_);
  if (!processed.ok()) {
    dead_keys_ = std::move(dead_keys);
    dead_counts_ = std::move(dead_counts);
    return std::move(processed).error();
  }
  for (const auto& consumed : progress.consumed) offsets_[{consumed.topic, consumed.partition}] = consumed.next;
  for (const auto& client : progress.clients) outcome.events += client.events;
  outcome.outbox_bytes = outbox_bytes_;
  checkpoint_ = next_checkpoint_;
  return outcome;
}

Result<std::vector<LogBlock>> RoundRunner::read_blocks() {
  std::vector<std::pair<TopicPartition, Offset>> behind;
  for (const auto& [partition, end] : ports_.log.ends()) {
    auto at = offsets_.find(partition);
    Offset next = at == offsets_.end() ? Offset{0} : at->second;
    if (next < end) behind.emplace_back(partition, next);
  }
  std::vector<LogBlock> blocks;
  size_t bytes = 0;
  for (size_t i = 0; i < behind.size() && bytes < limits_.bytes_max; ++i) {
    const auto& [partition, next] = behind[(first_partition_ + i) % behind.size()];
    size_t share = std::min(limits_.partition_bytes_max, limits_.bytes_max - bytes);
    ASSIGN_OR_RETURN(std::vector<LogBlock> read, ports_.log.read(partition, next, share));
    for (LogBlock& block : read) {
      bytes += block.bytes.size();
      blocks.push_back(std::move(block));
    }
  }
  first_partition_ += behind.empty() ? 0 : 1;
  return blocks;
}

Result<std::deque<EventBatch>> RoundRunner::decode(const std::vector<LogBlock>& blocks) {
  std::deque<EventBatch> batches;
  for (const LogBlock& block : blocks) {
    auto decoded = [&]() -> Result<EventBatch> {
      ASSIGN_OR_RETURN(BlockHeader header, read_block_header(block.bytes));
      ASSIGN_OR_RETURN(SchemaPtr schema, ports_.log.schema(header.client, header.table, header.schema_version));
      return decode_block(block.bytes, schema);
    }();
    if (!decoded.ok()) {
      return with_context(decoded.error(), fmt::format("topic {} partition {} offset {}", block.at.topic,
                                                       block.at.partition, block.first));
    }
    batches.push_back(std::move(decoded).value());
  }
  return batches;
}

Status RoundRunner::learn_schemas(const std::deque<EventBatch>& batches) {
  bool news = false;
  for (const EventBatch& batch : batches) {
    SchemaPtr& known = newest_[{batch.client, batch.domain}];
    if (known != nullptr && known->table == batch.schema->table && known->version >= batch.schema->version) continue;
    known = batch.schema;
    news = true;
  }
  return news ? replan() : Status();
}

Status RoundRunner::replan() {
  std::vector<ClientTable> known;
  for (const auto& [of, schema] : newest_) known.push_back({of.first, of.second, schema});
  ASSIGN_OR_RETURN(PlannedPipeline plan, ports_.plan(known));
  std::map<std::string, Domain> domains;
  for (auto& [name, relation] : plan.relations) domains[name].relation = relation;
  std::vector<TableDefinition> definitions;
  for (ViewPlan& view : plan.views) {
    Domain& domain = domains.at(view.relation);
    std::unique_ptr<ExpressionProgram> program;
    if (!view.expressions.empty()) {
      auto prepared = ports_.expressions.prepare(view.inputs, view.expressions);
      if (!prepared.ok()) return with_context(prepared.error(), "view " + view.name);
      program = std::move(prepared).value();
    }
    TableDefinition table = view.table();
    definitions.push_back(table);
    std::string name = view.name;
    domain.views.push_back({name, table, ViewStage(std::move(view), domain.relation, std::move(program))});
  }
  domains_ = std::move(domains);
  set_aside_.clear();
  for (const PlanProblem& aside : plan.set_aside) set_aside_.emplace(aside.client, aside.domain);
  std::lock_guard lock(mutex_);
  if (tables_.generation == 0 || definitions != tables_.definitions) {
    tables_.definitions = std::move(definitions);
    ++tables_.generation;
  }
  tables_.set_aside = std::move(plan.set_aside);
  return {};
}

Status RoundRunner::process(std::deque<EventBatch> batches, RoundState& state, StorageBatch& write,
                            RoundOutcome& outcome) {
  FindSchema find_schema = [this](const ClientId& client, const std::string& table, uint32_t version) {
    return ports_.log.schema(client, table, version);
  };
  std::map<std::string, DomainMerge> merges;
  for (EventBatch& batch : batches) {
    if (set_aside_.contains({batch.client, batch.domain})) continue;  // kept in raw until it fits
    auto at = merges.try_emplace(batch.domain, batch.domain, find_schema).first;
    at->second.add(std::move(batch));
  }
  for (auto& [domain, merge] : merges) RETURN_IF_ERROR(process_domain(domain, merge, state, write, outcome));
  return {};
}

Status RoundRunner::process_domain(const std::string& name, DomainMerge& merge, RoundState& state, StorageBatch& write,
                                   RoundOutcome& outcome) {
  auto at = domains_.find(name);
  if (at == domains_.end()) return {};  // no client's table fits: its events stay in raw
  ASSIGN_OR_RETURN(MergeOutput merged, merge.run(state, at->second.relation));
  for (View& view : at->second.views) RETURN_IF_ERROR(put_view(view, merged, state, write));
  std::move(merged.parked.begin(), merged.parked.end(), std::back_inserter(outcome.parked));
  return {};
}

Status RoundRunner::put_view(View& view, const MergeOutput& merged, RoundState& state, StorageBatch& write) {
  for (const RaisedFloor& floor : merged.floors) {
    put_outbox(write, OutboxWithdrawal{{view.name, floor.client, Version::of_row(floor.position, 0, 0), floor.low, floor.high}});
  }
  if (merged.live.rows() + merged.gone.rows() == 0) return {};
  ASSIGN_OR_RETURN(ViewOutputRows out, view.stage.run(merged.live, merged.gone, attributes_));
  note_dead(view, out, state);
  ASSIGN_OR_RETURN(std::string encoded, ports_.analytics.encode(view.table, out.rows));
  put_outbox(write, OutboxRows{view.name, out.rows.rows(), std::move(encoded)});
  return {};
}

void RoundRunner::put_outbox(StorageBatch& write, const OutboxEntry& entry) {
  std::string bytes = encode_outbox_entry(entry);
  outbox_bytes_ += bytes.size();
  write.put(Family::kOutbox, outbox_key(Checkpoint{next_checkpoint_}, outbox_index_++), bytes);
}

void RoundRunner::note_dead(const View& view, const ViewOutputRows& rows, RoundState& state) {
  if (rows.dead.empty() && dead_keys_.empty()) return;
  std::lock_guard lock(mutex_);
  std::unordered_set<std::string> dead_now;
  for (const DeadRow& row : rows.dead) {
    std::string key = dead_letter_key(row.client, view.name, row.key);
    state.put(key, encode_dead_letter(row));
    if (dead_keys_.insert(key).second) ++dead_counts_[{row.client, view.name}];
    dead_now.insert(std::move(key));
  }
  for (size_t row = 0; row < rows.rows.rows() && dead_keys_.size() > dead_now.size(); ++row) {
    const ClientId& client = rows.rows.clients[rows.rows.client_of_row[row]];
    std::string key = dead_letter_key(client, view.name, rows.rows.keys[row]);
    if (dead_now.contains(key) || dead_keys_.erase(key) == 0) continue;
    state.erase(key);  // it computes again, or is gone
    --dead_counts_[{client, view.name}];
  }
}

OutboxProgress RoundRunner::progress_of(const std::vector<LogBlock>& blocks,
                                        const std::deque<EventBatch>& batches) const {
  std::map<TopicPartition, Offset> next;
  std::map<ClientId, OutboxProgress::Client> clients;
  for (size_t i = 0; i < blocks.size(); ++i) {
    Offset& end = next[blocks[i].at];
    end = std::max(end, Offset{blocks[i].first.value + blocks[i].events});
    const EventBatch& batch = batches[i];
    OutboxProgress::Client& client = clients[batch.client];
    client.client = batch.client;
    client.events += blocks[i].events;
    for (const Position& position : batch.positions) client.position = std::max(client.position, position);
    for (const RangeFact& range : batch.ranges) client.position = std::max(client.position, range.position);
    for (int64_t micros : batch.commit_micros) client.commit_micros = std::max(client.commit_micros, micros);
  }
  OutboxProgress progress;
  for (auto& [id, client] : clients) progress.clients.push_back(std::move(client));
  for (auto& [partition, end] : next) progress.consumed.push_back({partition.topic, partition.partition, end});
  return progress;
}

RoundRunner::Tables RoundRunner::tables() const {
  std::lock_guard lock(mutex_);
  return tables_;
}

std::map<TopicPartition, Offset> RoundRunner::offsets() const {
  std::lock_guard lock(mutex_);
  return offsets_;
}

std::map<std::pair<ClientId, std::string>, uint64_t> RoundRunner::dead_letters() const {
  std::lock_guard lock(mutex_);
  return dead_counts_;
}

Result<std::vector<std::string>> stored_dead_letter_keys(const Storage& storage, const ClientId& client,
                                                         const std::string& view) {
  std::string prefix = dead_letter_key(client, view, {});
  std::vector<std::string> keys;
  StorageIterator it = storage.iterate(Family::kState, prefix);
  for (; it.valid(); it.next()) keys.emplace_back(it.key().substr(prefix.size()));
  RETURN_IF_ERROR(it.status());
  return keys;
}

Result<std::vector<ParkedRow>> RoundRunner::parked(size_t limit) {
  std::string prefix;
  put_u16_big(prefix, static_cast<uint16_t>(StateOperator::kParked));
  std::vector<ParkedRow> rows;
  StorageIterator it = ports_.storage.iterate(Family::kState, prefix);
  for (; it.valid() && rows.size() < limit; it.next()) {
    ByteReader reader(it.key().substr(prefix.size()));
    ParkedRow row;
    row.client = ClientId{std::string(reader.bytes(reader.u8()))};
    reader.bytes(reader.u8());  // the domain
    row.key = reader.rest();
    row.table = it.value();
    if (reader.ok()) rows.push_back(std::move(row));
  }
  RETURN_IF_ERROR(it.status());
  return rows;
}

}  // namespace tributary
