#include "process/domain_merge.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/arena.h"
#include "base/key_order.h"
#include "process/range_floors.h"
#include "process/row_entry.h"
#include "process/row_writer.h"

namespace tributary {
namespace {

std::string operator_key(StateOperator id, const ClientId& client, std::string_view domain, std::string_view key) {
  std::string tail;
  CHECK(domain.size() <= UINT8_MAX);
  tail.push_back(static_cast<char>(domain.size()));
  tail.append(domain);
  tail.append(key);
  return state_key(static_cast<uint16_t>(id), client.value, tail);
}

// Whether a row lacks a value, or an update of this table can leave one out. What a schema promises is not enough: a value that was
// moved out of its row before its column's storage became plain stays out, and a partition has an identity and storage of its own.
bool lacks_values(const EventBatch& batch) {
  const TableSchema& schema = *batch.schema;
  bool may = schema.old_image != OldImage::kFull &&
             std::any_of(schema.columns.begin(), schema.columns.end(),
                         [](const ColumnSchema& column) { return column.may_be_absent; });
  if (may) return true;
  return std::any_of(batch.columns.begin(), batch.columns.end(), [&](const Column& column) {
    const std::vector<CellState>& states = column.states();
    for (auto at = states.begin(); (at = std::find(at, states.end(), CellState::kAbsent)) != states.end(); ++at) {
      if (batch.ops[static_cast<size_t>(at - states.begin())] != Op::kDelete) return true;
    }
    return false;
  });
}

Status add_sweep(KeyedState& state, const std::string& state_name, const ClientId& client, Sweep sweep) {
  ASSIGN_OR_RETURN(Sweeps known, DomainMerge::sweeps(state, state_name, client));
  known.list.push_back(std::move(sweep));
  state.put(operator_key(StateOperator::kSweep, client, state_name, {}), known.encode());
  return {};
}

// One round of one domain.
class Round {
 public:
  Round(const MergeOptions& options, const FindSchema& find_schema, const std::vector<const EventBatch*>& batches,
        KeyedState& state, const Relation& relation)
      : options_(options),
        domain_(options.state_name),
        find_schema_(find_schema),
        batches_(batches),
        state_(state),
        relation_(relation) {}

  Result<MergeOutput> run(const std::vector<std::pair<ClientId, std::string>>& sweeping,
                          const std::vector<ParkedRow>& touched) {
    live_.emplace(output_.live, relation_, options_.used_columns);
    gone_.emplace(output_.gone, relation_, options_.used_columns);
    before_.emplace(output_.before, relation_, options_.used_columns);
    for (const EventBatch* batch : batches_) tables_.emplace(batch->client, batch->schema->table);
    for (const auto& [client, table] : sweeping) tables_.emplace(client, table);
    for (const ParkedRow& row : touched) tables_.emplace(row.client, row.table);
    RETURN_IF_ERROR(load_clients());
    RETURN_IF_ERROR(raise_floors());
    for (const EventBatch* batch : batches_) {
      if (!clients_.at(batch->client).stateful) pass_through(*batch);
    }
    for (const ParkedRow& row : touched) {
      Touched again = touch(row.client, row.key);
      RETURN_IF_ERROR(again.error_or_ok());
      again.entry->again = true;
      output_.again = true;
    }
    for (const auto& [client, table] : sweeping) RETURN_IF_ERROR(sweep(client));
    RETURN_IF_ERROR(merge_rows());
    for (auto& [id, client] : clients_) finish_sweeps(id, client);
    return std::move(output_);
  }

 private:
  struct Client {
    bool stateful = false;
    RangeFloors floors;
    Sweeps sweeps;
    std::string sweeps_stored;
    RowEntry::Schemas schemas;
  };
  struct Entry {  // one row key in this round
    std::string_view id;  // its key in the state
    std::string_view key;  // the end of that
    const ClientId* client = nullptr;
    RowEntry::Schemas* schemas = nullptr;  // of the client's table
    RowEntry row;
    bool again = false;  // is given out whether or not it changed
    const EventBatch* batch = nullptr;  // a fact about the key, for its key columns
    size_t batch_row = 0;
  };

  // The schemas of a client's table, of which the last one asked for is at hand.
  RowEntry::Schemas schemas_of(const ClientId& client, const std::string& table) {
    return [this, &client, &table, last = SchemaPtr()](uint32_t version) mutable -> Result<SchemaPtr> {
      if (last == nullptr || last->version != version) {
        ASSIGN_OR_RETURN(last, find_schema_(client, table, version));
      }
      return last;
    };
  }

  // Two reads for all clients of the round.
  Status load_clients() {
    std::vector<std::string> keys;
    std::vector<ClientId> clients;
    for (const auto& [id, table] : tables_) {
      clients_.try_emplace(id).first->second.schemas = schemas_of(id, table);
      clients.push_back(id);
      keys.push_back(operator_key(StateOperator::kStateful, id, domain_, {}));
      keys.push_back(operator_key(StateOperator::kFloor, id, domain_, {}));
      keys.push_back(operator_key(StateOperator::kSweep, id, domain_, {}));
    }
    ASSIGN_OR_RETURN(auto values, state_.get(keys));
    for (size_t i = 0; i < clients.size(); ++i) {
      Client& client = clients_.at(clients[i]);
      client.stateful = options_.keep_rows || values[3 * i].has_value();
      if (values[3 * i + 1]) {
        ASSIGN_OR_RETURN(client.floors, RangeFloors::decode(*values[3 * i + 1]));
      }
      if (!values[3 * i + 2]) continue;
      ASSIGN_OR_RETURN(client.sweeps, Sweeps::decode(*values[3 * i + 2]));
      client.sweeps_stored = std::move(*values[3 * i + 2]);
      output_.sweeps_before[clients[i]] = client.sweeps;
    }
    for (const EventBatch* batch : batches_) {
      Client& client = clients_.at(batch->client);
      if (client.stateful || batch->rows() == 0 || !lacks_values(*batch)) continue;
      client.stateful = true;
      state_.put(operator_key(StateOperator::kStateful, batch->client, domain_, {}), "1");
    }
    return {};
  }

  Status raise_floors() {
    for (const EventBatch* batch : batches_) {
      Client& client = clients_.at(batch->client);
      bool changed = false;
      for (const RangeFact& fact : batch->ranges) {
        if (!client.floors.add(fact)) continue;
        changed = true;
        output_.floors.push_back({batch->client, options_.domain, fact.position, fact.low, fact.high});
        if (options_.keep_rows) client.sweeps.list.push_back({fact.low, fact.high, false, {}});
      }
      if (changed) state_.put(operator_key(StateOperator::kFloor, batch->client, domain_, {}), client.floors.encode());
    }
    // Only now are all floors known that a row loaded in this round must have.
    for (const EventBatch* batch : batches_) {
      for (const RangeFact& fact : batch->ranges) {
        RETURN_IF_ERROR(unpark(batch->client, fact));
      }
    }
    return {};
  }

  // Looks at the next rows of the client's sweeps.
  Status sweep(const ClientId& id) {
    Client& client = clients_.at(id);
    std::string prefix = operator_key(StateOperator::kMergedRow, id, domain_, {});
    size_t left = options_.sweep_rows_max;
    while (left > 0 && !client.sweeps.empty()) {
      Sweep& sweep = client.sweeps.list.front();
      if (sweep.again && sweep.cursor.empty()) output_.all_again.insert(id);
      output_.again = output_.again || sweep.again;
      std::vector<std::pair<std::string, std::string>> rows;  // keys, and what is stored
      RETURN_IF_ERROR(state_.scan(prefix, prefix + sweep.cursor, [&](std::string_view key, std::string_view stored) {
        std::string_view row_key = key.substr(prefix.size());
        if (!sweep.high.empty() && row_key >= sweep.high) return false;
        rows.emplace_back(row_key, stored);
        return rows.size() < left;
      }));
      for (auto& [key, stored] : rows) {
        Touched touched = touch(id, key, &stored);
        RETURN_IF_ERROR(touched.error_or_ok());
        touched.entry->again = touched.entry->again || sweep.attributes || sweep.again;
      }
      bool done = rows.size() < left;
      left -= rows.size();
      if (done) {
        client.sweeps.list.erase(client.sweeps.list.begin());
      } else {
        sweep.cursor = rows.back().first + '\0';
      }
    }
    return {};
  }

  void finish_sweeps(const ClientId& id, const Client& client) {
    if (client.sweeps.empty() && client.sweeps_stored.empty()) return;
    std::string key = operator_key(StateOperator::kSweep, id, domain_, {});
    if (client.sweeps.empty()) {
      state_.erase(key);
    } else {
      state_.put(key, client.sweeps.encode());
      output_.pending = true;
    }
    output_.sweeping[id] = !client.sweeps.empty();
    output_.sweeps[id] = client.stateful ? client.sweeps : Sweeps{};
  }

  // Rows that waited for a value and are gone now wait no more.
  Status unpark(const ClientId& client, const RangeFact& fact) {
    std::string prefix = operator_key(StateOperator::kParked, client, domain_, {});
    std::vector<std::string> covered;
    RETURN_IF_ERROR(state_.scan(prefix, prefix + fact.low, [&](std::string_view key, std::string_view) {
      std::string_view row_key = key.substr(prefix.size());
      if (!fact.covers(row_key)) return false;
      covered.emplace_back(row_key);
      return true;
    }));
    for (const std::string& key : covered) RETURN_IF_ERROR(touch(client, key).error_or_ok());
    return {};
  }

  void pass_through(const EventBatch& batch) {
    const RangeFloors& floors = clients_.at(batch.client).floors;
    for (size_t row = 0; row < batch.rows(); ++row) {
      std::string key = batch.row_key(row);
      if (!floors.empty() && batch.positions[row] <= floors.floor_of(key)) continue;
      if (batch.ops[row] == Op::kDelete) {
        gone_->begin(batch.client, std::move(key), batch.positions[row], 0);
        gone_->key_cells_of(batch, row);
      } else {
        live_->begin(batch.client, std::move(key), batch.positions[row], 0);
        live_->cells_of(batch, row);
      }
    }
  }

  struct Touched {
    Error error;
    bool failed = false;
    Entry* entry = nullptr;
    Status error_or_ok() const { return failed ? Status(error) : Status(); }
  };

  // The entry of a key that no fact of the round needs to be about. `known`: what is stored of it, where that was read.
  Touched touch(const ClientId& client, const std::string& key, std::string* known = nullptr) {
    std::string id = operator_key(StateOperator::kMergedRow, client, domain_, key);
    auto at = index_.find(id);
    if (at != index_.end()) return {{}, false, &entries_[at->second]};
    std::optional<std::string> stored;
    if (known != nullptr) {
      stored = std::move(*known);
    } else {
      auto values = state_.get({&id, 1});
      if (!values.ok()) return {values.error(), true};
      stored = std::move((*values)[0]);
    }
    Status loaded =
        load(clients_.find(client)->first, other_ids_.emplace_back(std::move(id)), key.size(), std::move(stored));
    if (!loaded.ok()) return {loaded.error(), true};
    index_.emplace(entries_.back().id, static_cast<uint32_t>(entries_.size() - 1));
    return {{}, false, &entries_.back()};
  }

  // The next entry. `id` lives as long as the round; the last `key_bytes` of it are the row key.
  Status load(const ClientId& client, std::string_view id, size_t key_bytes, std::optional<std::string> stored) {
    Entry& entry = entries_.emplace_back();
    entry.id = id;
    entry.key = id.substr(id.size() - key_bytes);
    entry.client = &client;
    Client& of = clients_.at(client);
    entry.schemas = &of.schemas;
    Position floor = of.floors.floor_of(entry.key);
    ASSIGN_OR_RETURN(entry.row, RowEntry::load(std::move(stored), floor));
    return {};
  }

  // The entries of all facts, in their order: one read for all of them.
  Result<std::vector<uint32_t>> load_all() {
    size_t facts = 0;
    for (const EventBatch* batch : batches_) facts += clients_.at(batch->client).stateful ? batch->rows() : 0;
    std::vector<uint32_t> entry_of_fact;
    entry_of_fact.reserve(facts);
    ids_.reserve(facts);  // so that none moves: the index refers to them
    index_.reserve(index_.size() + facts);
    std::vector<std::pair<const ClientId*, size_t>> of;
    auto next = static_cast<uint32_t>(entries_.size());
    for (const EventBatch* batch : batches_) {
      auto client = clients_.find(batch->client);
      if (!client->second.stateful) continue;
      std::string id = operator_key(StateOperator::kMergedRow, batch->client, domain_, {});
      size_t prefix = id.size();
      for (size_t row = 0; row < batch->rows(); ++row) {
        id.resize(prefix);
        batch->append_row_key(id, row);
        auto [at, added] = index_.try_emplace(ids_.emplace_back(id), next);
        if (added) {
          ++next;
          of.emplace_back(&client->first, id.size() - prefix);
        } else {
          ids_.pop_back();
        }
        entry_of_fact.push_back(at->second);
      }
    }
    if (ids_.empty()) return entry_of_fact;
    ASSIGN_OR_RETURN(auto values, state_.get(ids_));
    for (size_t i = 0; i < ids_.size(); ++i) {
      RETURN_IF_ERROR(load(*of[i].first, ids_[i], of[i].second, std::move(values[i])));
    }
    return entry_of_fact;
  }

  Status merge_rows() {
    ASSIGN_OR_RETURN(std::vector<uint32_t> entry_of_fact, load_all());
    auto next = entry_of_fact.begin();
    std::vector<MovedValues> moved;
    for (const EventBatch* batch : batches_) {
      if (!clients_.at(batch->client).stateful) continue;
      for (size_t row = 0; row < batch->rows(); ++row) {
        Entry& entry = entries_[*next++];
        entry.batch = batch;
        entry.batch_row = row;
        entry.again = entry.again || options_.facts_again;
        RETURN_IF_ERROR(entry.row.merge(*batch, row, *entry.schemas, moved));
        if (!moved.empty()) RETURN_IF_ERROR(follow(batch->client, moved));
      }
    }
    // In the order of keys: so the state has them, and so a store wants rows.
    std::vector<std::string_view> ids;
    ids.reserve(entries_.size());
    for (const Entry& entry : entries_) ids.push_back(entry.id);
    for (uint32_t number : key_order(ids)) RETURN_IF_ERROR(emit(entries_[number]));
    return {};
  }

  // Brings values that moved with a key change to their new keys; a row may have moved on.
  Status follow(const ClientId& client, std::vector<MovedValues>& moved) {
    while (!moved.empty()) {
      MovedValues values = std::move(moved.back());
      moved.pop_back();
      Touched touched = touch(client, values.to_key);
      RETURN_IF_ERROR(touched.error_or_ok());
      RETURN_IF_ERROR(touched.entry->row.merge(values, *touched.entry->schemas, moved));
    }
    return {};
  }

  Status emit(Entry& entry) {
    RowEntry& row = entry.row;
    RETURN_IF_ERROR(row.settle(*entry.schemas));
    auto changed = row.changed();
    if (!changed && !entry.again) return {};
    if (changed) state_.put(entry.id, *changed);
    const StoredRow& was = row.was();
    bool was_live = was.position != Position{};
    if (options_.keep_rows && was_live && was.whole) {
      before_->begin(*entry.client, std::string(entry.key), was.position, was.fill);
      RETURN_IF_ERROR(stored_cells(entry, *before_));
    }
    if (row.live() && !row.complete()) {
      park(entry);
      return {};
    }
    if (was_live && !was.whole) state_.erase(parked_key(entry));
    if (row.live()) {
      live_->begin(*entry.client, std::string(entry.key), row.position(), row.fill());
      return live_cells(entry);
    }
    // Without a fact about the key in this round the range fact withdraws the row.
    if (entry.batch == nullptr) return {};
    gone_->begin(*entry.client, std::string(entry.key), row.floor(), 0);
    gone_->key_cells_of(*entry.batch, entry.batch_row);
    return {};
  }

  // A row is parked as long as what is stored of it is live and not whole.
  void park(const Entry& entry) {
    const std::string& table = tables_.at(*entry.client);
    state_.put(parked_key(entry), table);
    output_.parked.push_back({*entry.client, table, std::string(entry.key)});
  }

  std::string parked_key(const Entry& entry) const {
    return operator_key(StateOperator::kParked, *entry.client, domain_, entry.key);
  }

  Status live_cells(const Entry& entry) {
    switch (entry.row.form()) {
      case RowEntry::Form::kStored: return stored_cells(entry, *live_);
      case RowEntry::Form::kFact: live_->cells_of(entry.row.fact_batch(), entry.row.fact_row()); return {};
      default: live_->cells_of(entry.row.state()); return {};
    }
  }

  Status stored_cells(const Entry& entry, RowWriter& to) {
    ASSIGN_OR_RETURN(SchemaPtr schema, (*entry.schemas)(entry.row.was().schema_version));
    RETURN_IF_ERROR(read_stored_cells(entry.row.stored(), *schema, cells_));
    to.cells_of(cells_, schema);
    return {};
  }

  const MergeOptions& options_;
  const std::string& domain_;
  const FindSchema& find_schema_;
  const std::vector<const EventBatch*>& batches_;
  KeyedState& state_;
  const Relation& relation_;

  MergeOutput output_;
  std::optional<RowWriter> live_;
  std::optional<RowWriter> gone_;
  std::optional<RowWriter> before_;
  std::map<ClientId, std::string> tables_;  // a client has one table for the domain
  std::map<ClientId, Client> clients_;
  std::deque<Entry> entries_;
  Arena arena_;
  std::pmr::unordered_map<std::string_view, uint32_t> index_{&arena_};  // by id
  std::vector<std::string> ids_;  // of facts' keys
  std::deque<std::string> other_ids_;  // of keys that are touched alone
  std::vector<StoredCell> cells_;  // of one row, while it is read
};

}  // namespace

Result<MergeOutput> DomainMerge::run(KeyedState& state, const Relation& relation) {
  auto batches = std::exchange(batches_, {});
  auto sweeping = std::exchange(sweeping_, {});
  auto touched = std::exchange(touched_, {});
  return Round(options_, find_schema_, batches, state, relation).run(sweeping, touched);
}

Status DomainMerge::sweep_attributes(KeyedState& state, const std::string& state_name, const ClientId& client,
                                     std::string old_attributes) {
  return add_sweep(state, state_name, client, {.attributes = true, .old_attributes = std::move(old_attributes)});
}

Status DomainMerge::sweep_again(KeyedState& state, const std::string& state_name, const ClientId& client) {
  return add_sweep(state, state_name, client, {.again = true});
}

Result<Sweeps> DomainMerge::sweeps(KeyedState& state, const std::string& state_name, const ClientId& client) {
  std::vector<std::string> keys{operator_key(StateOperator::kSweep, client, state_name, {})};
  ASSIGN_OR_RETURN(auto values, state.get(keys));
  if (!values[0]) return Sweeps{};
  return Sweeps::decode(*values[0]);
}

}  // namespace tributary
