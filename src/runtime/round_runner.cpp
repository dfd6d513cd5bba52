#include "runtime/round_runner.h"

#include <algorithm>

#include "base/bytes.h"
#include "runtime/round_feeding.h"
#include "runtime/stored_facts.h"

namespace tributary {
namespace {

constexpr std::string_view checkpoint_key = "runtime/checkpoint";

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

}  // namespace

RoundRunner::Pass::Pass(Storage& storage, size_t workers, uint64_t number) : checkpoint(number) {
  for (size_t i = 0; i < workers; ++i) {
    states.push_back(std::make_unique<RoundState>(storage));
    state_pointers.push_back(states.back().get());
  }
}

Result<std::unique_ptr<RoundRunner>> RoundRunner::open(RoundPorts ports, RoundLimits limits, std::vector<Table> tables,
                                                       std::map<ClientId, std::map<std::string, Column>> attributes) {
  std::unique_ptr<RoundRunner> runner(new RoundRunner(std::move(ports), limits));
  RETURN_IF_ERROR(runner->load(std::move(tables), std::move(attributes)));
  return runner;
}

Status RoundRunner::load_offsets() {
  ASSIGN_OR_RETURN(uint64_t checkpoint, stored_number(ports_.storage, checkpoint_key));
  checkpoint_ = checkpoint;
  ASSIGN_OR_RETURN(read_, stored_offsets(ports_.storage, processed_offsets));
  offsets_ = read_;
  // What rounds before the end had not told the sender yet.
  for (const auto& [partition, next] : read_) untold_.add_earlier(partition, next);
  return {};
}

Status RoundRunner::load(std::vector<Table> tables, std::map<ClientId, std::map<std::string, Column>> attributes) {
  RETURN_IF_ERROR(load_offsets());
  RETURN_IF_ERROR(dead_.load(ports_.storage));
  ASSIGN_OR_RETURN(builds_, Builds::load(ports_.storage));
  ASSIGN_OR_RETURN(releases_, Releases::load(ports_.storage));
  if (ports_.start_with_views || releases_.none()) releases_.start_with(ports_.views, ports_.started_micros);
  ASSIGN_OR_RETURN(set_aside_, stored_set_aside(ports_.storage));
  ASSIGN_OR_RETURN(unchecked_, stored_unchecked(ports_.storage));
  check_needs_ = read_;
  client_tables_ = std::move(tables);
  ASSIGN_OR_RETURN(absent_clients_, stored_clients(ports_.storage));
  std::erase_if(absent_clients_, [&](const ClientId& client) { return attributes.contains(client); });
  for (const Table& table : client_tables_) {
    ASSIGN_OR_RETURN(auto schemas, ports_.log.newest_schemas(table.client));
    for (const SchemaPtr& schema : schemas) {
      if (schema->table == table.table) newest_[{table.client, table.domain}] = schema;
    }
  }
  std::map<ClientId, ClientAttributes> changed;
  RETURN_IF_ERROR(load_attributes(std::move(attributes), changed));
  RETURN_IF_ERROR(take_switches());
  RETURN_IF_ERROR(replan());
  return use_changed_attributes(changed);
}

// A client's attributes have a revision, which rises when they change. `changed` gets what they were.
Status RoundRunner::load_attributes(std::map<ClientId, std::map<std::string, Column>> attributes,
                                    std::map<ClientId, ClientAttributes>& changed) {
  for (auto& [client, values] : attributes) {
    ClientAttributes now{1, std::move(values)};
    ASSIGN_OR_RETURN(auto stored, stored_attributes(ports_.storage, client));
    if (stored) {
      bool same = stored->content() == now.content();
      now.revision = same ? stored->revision : stored->revision + 1;
      if (!same) changed.emplace(client, std::move(*stored));
    }
    attributes_[client] = std::move(now);
  }
  return {};
}

// Rows that were computed under other attributes are computed again: those that are kept in a sweep over them, others from
// their facts in raw.
Status RoundRunner::use_changed_attributes(const std::map<ClientId, ClientAttributes>& changed) {
  StorageBatch write;
  RoundState state(ports_.storage);
  for (const auto& [client, before] : changed) {
    for (Generation& generation : generations_) {
      for (const auto& [name, domain] : plan_.relations) {
        if (!generation.graph->uses_attributes(name)) continue;
        RETURN_IF_ERROR(
            DomainMerge::sweep_attributes(state, generation.graph->state_name(name), client, before.encode()));
        if (!generation.graph->keeps_rows(name) && releases_.scope_of(generation.number).takes(client))
          builds_.add_refeed(generation.number, client, name);
      }
    }
  }
  for (const auto& [client, now] : attributes_) put_attributes(write, client, now);
  state.add_to(write);
  builds_.save(write);
  return ports_.storage.write(write);
}

Result<RoundOutcome> RoundRunner::run() {
  if (builds_changed_.exchange(false)) {
    Status looked = take_switches();
    if (looked.ok()) looked = replan();
    if (!looked.ok()) {
      builds_changed_ = true;
      return std::move(looked).error();
    }
  }
  RETURN_IF_ERROR(release_round());
  RETURN_IF_ERROR(check_letters());
  ASSIGN_OR_RETURN(RoundOutcome outcome, live_round());
  auto add = [&](RoundOutcome other) {
    outcome.more = outcome.more || other.more;
    std::move(other.parked.begin(), other.parked.end(), std::back_inserter(outcome.parked));
  };
  if (may_order()) {
    ASSIGN_OR_RETURN(RoundOutcome ordered, order_round());
    add(std::move(ordered));
  }
  if (const Refeed* refeed = next_refeed()) {
    ASSIGN_OR_RETURN(RoundOutcome fed, refeed_round(*refeed));
    add(std::move(fed));
  }
  take_counts();
  outcome.more = outcome.more || (unfinished() && !raw_is_behind_) || builds_changed_ || next_refeed() != nullptr ||
                 letters_to_check();
  return outcome;
}

// Whether what is live is not yet computed whole for the client.
bool RoundRunner::unfinished(const ClientId& client) const {
  return std::any_of(builds_.refeeds().begin(), builds_.refeeds().end(),
                     [&](const Refeed& refeed) {
                       return refeed.client == client && releases_.used_by_live(refeed.generation);
                     }) ||
         std::any_of(generations_.begin(), generations_.end(), [&](const Generation& of) {
           return of.graph->unfinished(client) && releases_.used_by_live(of.number);
         });
}

// ... for anybody.
bool RoundRunner::unfinished() const {
  return std::any_of(builds_.refeeds().begin(), builds_.refeeds().end(),
                     [&](const Refeed& refeed) { return releases_.used_by_live(refeed.generation); }) ||
         std::any_of(generations_.begin(), generations_.end(), [&](const Generation& of) {
           return of.graph->wants_round() && releases_.used_by_live(of.number);
         });
}

GraphInput RoundRunner::input_of(const Generation& generation) const {
  GraphInput input{.attributes = &attributes_};
  for (const Table& table : client_tables_) {
    auto aside = set_aside_.find({table.client, table.domain});
    if (aside == set_aside_.end() || aside->second > 0) input.tables[{table.client, table.domain}] = table.table;
  }
  input.run_generation = generation.number;
  std::set<std::string> with_dead = dead_.tables();
  for (const std::string& view : generation.graph->options().stored) {
    if (with_dead.contains(view + generation_suffix(generation.number))) input.views_with_dead.insert(view);
  }
  return input;
}

Result<RoundOutcome> RoundRunner::live_round() {
  ASSIGN_OR_RETURN(std::vector<LogBlock> blocks, read_blocks());
  auto of_client = [this](const ClientId& client) { return unfinished(client); };
  bool wanted = !blocks.empty() || untold_.can_be_told(of_client, unfinished()) ||
                std::any_of(generations_.begin(), generations_.end(),
                            [](const Generation& generation) { return generation.graph->wants_round(); });
  if (!wanted) return RoundOutcome{};
  ASSIGN_OR_RETURN(Batches batches, decode(blocks));
  RETURN_IF_ERROR(learn_schemas(batches));

  Pass pass(ports_.storage, limits_.workers, checkpoint_ + 1);
  std::vector<RawBlock> raw;
  for (size_t i = 0; i < blocks.size(); ++i) raw.push_back({&blocks[i], batches[i].get()});
  if (!raw.empty() && ports_.add_raw) RETURN_IF_ERROR(ports_.add_raw(pass.write, raw));
  for (Generation& generation : generations_) {
    GraphInput input = input_of(generation);
    std::deque<EventBatch> parts;
    for (const auto& batch : batches) {
      if (stands_still(*batch)) continue;
      if (const EventBatch* taken = within(*batch, releases_.scope_of(generation.number), parts))
        input.batches.push_back(taken);
    }
    if (!input.batches.empty() || generation.graph->wants_round()) {
      RETURN_IF_ERROR(run_graph(generation, std::move(input), pass));
    }
  }
  UntoldProgress before = untold_;
  for (size_t i = 0; i < blocks.size(); ++i) untold_.add(blocks[i], *batches[i]);
  OutboxProgress told = untold_.take(of_client, unfinished());
  if (!told.clients.empty() || !told.consumed.empty()) put_outbox(pass, told);
  std::map<TopicPartition, Offset> next = read_;
  for (const LogBlock& block : blocks) {
    Offset& end = next[block.at];
    end = std::max(end, block.next);
    pass.outcome.events += block.events;
  }
  for (const auto& [partition, offset] : next) {
    if (read_.contains(partition) && read_.at(partition) == offset) continue;
    put_offset(pass.write, processed_offsets, partition, offset);
  }
  if (Status done = commit(pass); !done.ok()) {
    untold_ = std::move(before);
    return std::move(done).error();
  }
  read_ = std::move(next);
  std::lock_guard lock(mutex_);
  offsets_ = read_;
  offsets_at_ = Checkpoint{pass.checkpoint};
  untold_clients_ = untold_.clients();
  return std::move(pass.outcome);
}

Status RoundRunner::run_graph(Generation& generation, GraphInput input, Pass& pass) {
  input.checkpoint = pass.checkpoint;
  auto failed = [&](Error error) {
    for (Generation& other : generations_) other.graph->forget_pending();
    dead_.roll_back();
    return error;
  };
  auto ran = generation.graph->run(input, pass.state_pointers,
                                   [this](size_t count, const auto& work) { pool_.run(count, work); });
  if (!ran.ok()) return failed(std::move(ran).error());
  std::string suffix = generation_suffix(generation.number);
  for (Withdrawal& withdrawal : ran->withdrawals) {
    withdrawal.view += suffix;
    put_outbox(pass, OutboxWithdrawal{std::move(withdrawal)});
  }
  for (GraphOutput::View& view : ran->views) {
    std::string table = view.name + suffix;
    if (Status noted = dead_.note_gone(pass.write, ports_.storage, table, view.gone); !noted.ok())
      return failed(std::move(noted).error());
    if (Status done = remove_outdated(pass, table, view.dead); !done.ok()) return failed(std::move(done).error());
    dead_.note(pass.write, table, view.dead, view.cleared);
    if (view.rows.rows() == 0) continue;
    const TableDefinition* definition = definition_of(table);
    CHECK(definition != nullptr, "{} has no table", table);
    auto encoded = ports_.analytics.encode(*definition, view.rows);
    if (!encoded.ok()) return failed(std::move(encoded).error());
    put_outbox(pass, OutboxRows{table, view.rows.rows(), std::move(encoded).value()});
  }
  std::move(ran->parked.begin(), ran->parked.end(), std::back_inserter(pass.outcome.parked));
  pass.outcome.more = pass.outcome.more || ran->pending;
  return {};
}

Status RoundRunner::commit(Pass& pass) {
  for (const auto& state : pass.states) state->add_to(pass.write);
  pass.write.put(Family::kMeta, checkpoint_key, number_bytes(pass.checkpoint));
  if (Status written = ports_.storage.write(std::move(pass.write)); !written.ok()) {
    for (Generation& generation : generations_) generation.graph->forget_pending();
    dead_.roll_back();
    return written;
  }
  dead_.commit();
  outbox_bytes_ += pass.outbox_bytes;
  checkpoint_ = pass.checkpoint;
  return {};
}

void RoundRunner::put_outbox(Pass& pass, const OutboxEntry& entry) {
  OutboxBytes bytes = encode_outbox_entry(entry);
  pass.outbox_bytes += bytes.head.size() + bytes.tail.size();
  pass.write.put(Family::kOutbox, outbox_key(Checkpoint{pass.checkpoint}, pass.outbox_index++), bytes.head, bytes.tail);
}

Result<std::vector<LogBlock>> RoundRunner::read_blocks() {
  std::vector<std::pair<TopicPartition, Offset>> behind;
  for (const auto& [partition, end] : ports_.log.ends()) {
    if (uint64_t life = ports_.log.life(partition); life != lives_[partition]) {
      ASSIGN_OR_RETURN(read_[partition], ports_.log.first_offset(partition));
      lives_[partition] = life;
    }
    auto at = read_.find(partition);
    Offset next = at == read_.end() ? Offset{0} : at->second;
    if (next < end) behind.emplace_back(partition, next);
  }
  std::vector<LogBlock> blocks;
  std::vector<LogBlock> rest;  // beyond the shares of their partitions
  size_t bytes = 0;
  size_t events = 0;
  auto full = [&] { return bytes >= limits_.bytes_max || events >= limits_.events_max; };
  auto take = [&](LogBlock& block) {
    bytes += block.bytes.size();
    events += block.events;
    blocks.push_back(std::move(block));
  };
  for (size_t i = 0; i < behind.size() && !full(); ++i) {
    const auto& [partition, next] = behind[(first_partition_ + i) % behind.size()];
    size_t share = std::min(limits_.partition_bytes_max, limits_.bytes_max - bytes);
    ASSIGN_OR_RETURN(std::vector<LogBlock> read, reader_->read(partition, next, share));
    size_t events_left = limits_.events_max / behind.size() + 1;
    Offset reached = next;  // by the blocks taken: some logs say it with the last one of a read only
    for (LogBlock& block : read) {
      if (reached > next && (events_left == 0 || full())) {
        rest.push_back(std::move(block));
      } else {
        events_left -= std::min<size_t>(events_left, block.events);
        reached = block.next;
        take(block);
      }
    }
  }
  // What is left out is read again.
  for (size_t i = 0; i < rest.size() && !full(); ++i) take(rest[i]);
  first_partition_ += behind.empty() ? 0 : 1;
  behind_ = full();
  return blocks;
}

Result<RoundRunner::Batches> RoundRunner::decode(const std::vector<LogBlock>& blocks) {
  Batches batches;
  for (const LogBlock& block : blocks) {
    ASSIGN_OR_RETURN(std::shared_ptr<const EventBatch> events, ports_.log.events_of(block));
    batches.push_back(std::move(events));
  }
  return batches;
}

Status RoundRunner::learn_schemas(const Batches& batches) {
  bool news = false;
  for (const auto& batch : batches) {
    SchemaPtr& known = newest_[{batch->client, batch->domain}];
    if (known != nullptr && known->table == batch->schema->table && known->version >= batch->schema->version) continue;
    known = batch->schema;
    news = true;
  }
  return news ? replan() : Status();
}

RoundRunner::Tables RoundRunner::tables() const {
  std::lock_guard lock(mutex_);
  return tables_;
}

uint64_t RoundRunner::tables_generation() const {
  std::lock_guard lock(mutex_);
  return tables_.generation;
}

std::vector<RoundRunner::Rebuild> RoundRunner::rebuilds() const {
  std::lock_guard lock(mutex_);
  return rebuilds_;
}

RoundRunner::Read RoundRunner::read() const {
  std::lock_guard lock(mutex_);
  return {offsets_at_, offsets_, untold_clients_};
}

std::map<TopicPartition, Offset> RoundRunner::offsets() const {
  std::lock_guard lock(mutex_);
  return offsets_;
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
