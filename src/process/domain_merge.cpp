#include "process/domain_merge.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "process/convert.h"
#include "process/range_floors.h"
#include "process/row_state.h"

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

// Whether an update of this table can leave out a value.
bool may_lack_values(const TableSchema& schema) {
  return schema.old_image != OldImage::kFull &&
         std::any_of(schema.columns.begin(), schema.columns.end(),
                     [](const ColumnSchema& column) { return column.may_be_absent; });
}

// Appends rows in a relation's layout.
class RowWriter {
 public:
  RowWriter(MergedRows& rows, const Relation& relation) : rows_(rows), relation_(relation) {
    if (!rows.columns.empty()) return;
    for (const OutputColumn& column : relation.columns) rows.columns.emplace_back(column.type);
  }

  void begin(const ClientId& client, std::string key, const Position& position, uint32_t fill) {
    if (rows_.clients.empty() || rows_.clients[client_] != client) client_ = client_index(client);
    rows_.client_of_row.push_back(client_);
    rows_.keys.push_back(std::move(key));
    rows_.positions.push_back(position);
    rows_.fills.push_back(fill);
  }

  // The columns that a schema gives, by relation column: nullopt where it has none of that name.
  const std::vector<std::optional<uint32_t>>& layout(const SchemaPtr& schema) {
    auto [at, added] = layouts_.try_emplace(schema.get());
    if (added) {
      at->second.resize(relation_.columns.size());
      for (uint32_t i = 0; i < schema->columns.size(); ++i) {
        for (size_t j = 0; j < relation_.columns.size(); ++j) {
          if (relation_.columns[j].name == schema->columns[i].name) at->second[j] = i;
        }
      }
    }
    return at->second;
  }

  void cells_of(const EventBatch& batch, size_t row) {
    const auto& from = layout(batch.schema);
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i]) {
        append_converted(rows_.columns[i], batch.columns[*from[i]], row);
      } else {
        rows_.columns[i].append_null();
      }
    }
  }

  void key_cells_of(const EventBatch& batch, size_t row) {
    const auto& from = layout(batch.schema);
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i] && batch.schema->columns[*from[i]].key) {
        append_converted(rows_.columns[i], batch.columns[*from[i]], row);
      } else {
        rows_.columns[i].append_null();
      }
    }
  }

  void cells_of(const RowState& state) {
    const auto& from = layout(state.schema);
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i]) {
        append_cell(rows_.columns[i], state.schema->columns[*from[i]].type, state.cells[*from[i]]);
      } else {
        rows_.columns[i].append_null();
      }
    }
  }

 private:
  static void append_cell(Column& to, const LogicalType& type, const CellValue& cell) {
    if (cell.state == CellState::kNull) {
      to.append_null();
    } else if (cell.state == CellState::kValue && to.type() == type) {
      to.append_bytes(cell.bytes);
    } else {
      Column single(type);
      if (cell.state == CellState::kValue) {
        single.append_bytes(cell.bytes);
      } else {
        single.append_text(cell.bytes);
      }
      append_converted(to, single, 0);
    }
  }

  uint32_t client_index(const ClientId& client) {
    for (uint32_t i = 0; i < rows_.clients.size(); ++i) {
      if (rows_.clients[i] == client) return i;
    }
    rows_.clients.push_back(client);
    return static_cast<uint32_t>(rows_.clients.size() - 1);
  }

  MergedRows& rows_;
  const Relation& relation_;
  uint32_t client_ = 0;
  std::unordered_map<const TableSchema*, std::vector<std::optional<uint32_t>>> layouts_;
};

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
    live_.emplace(output_.live, relation_);
    gone_.emplace(output_.gone, relation_);
    before_.emplace(output_.before, relation_);
    for (const EventBatch* batch : batches_) tables_.emplace(batch->client, batch->schema->table);
    for (const auto& [client, table] : sweeping) tables_.emplace(client, table);
    for (const ParkedRow& row : touched) tables_.emplace(row.client, row.table);
    RETURN_IF_ERROR(load_clients());
    RETURN_IF_ERROR(raise_floors());
    for (const EventBatch* batch : batches_) {
      if (!clients_.at(batch->client).stateful) pass_through(*batch);
    }
    for (const ParkedRow& row : touched) {
      Touched again = touch(row.client, row.key, nullptr, 0);
      RETURN_IF_ERROR(again.error_or_ok());
      again.entry->again = true;
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
  };
  struct Entry {  // one row key in this round
    RowState state;
    std::string before;                  // encoded, as loaded
    std::optional<RowState> given_out;   // keep_rows: the row that the rounds before gave out
    bool again = false;                  // is given out whether or not it changed
    const EventBatch* batch = nullptr;   // a fact about the key, for its key columns
    size_t row = 0;
    ClientId client;
    std::string key;
  };

  // Two reads for all clients of the round.
  Status load_clients() {
    std::vector<std::string> keys;
    std::vector<ClientId> clients;
    for (const auto& [id, table] : tables_) {
      clients_.try_emplace(id);
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
      if (client.stateful || batch->rows() == 0 || !may_lack_values(*batch->schema)) continue;
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
      std::vector<std::string> keys;
      RETURN_IF_ERROR(state_.scan(prefix, prefix + sweep.cursor, [&](std::string_view key, std::string_view) {
        std::string_view row_key = key.substr(prefix.size());
        if (!sweep.high.empty() && row_key >= sweep.high) return false;
        keys.emplace_back(row_key);
        return keys.size() < left;
      }));
      for (const std::string& key : keys) {
        Touched touched = touch(id, key, nullptr, 0);
        RETURN_IF_ERROR(touched.error_or_ok());
        touched.entry->again = touched.entry->again || sweep.attributes;
      }
      bool done = keys.size() < left;
      left -= keys.size();
      if (done) {
        client.sweeps.list.erase(client.sweeps.list.begin());
      } else {
        sweep.cursor = keys.back() + '\0';
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
    output_.sweeps[id] = client.sweeps;
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
    for (const std::string& key : covered) RETURN_IF_ERROR(touch(client, key, nullptr, 0).error_or_ok());
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

  Touched touch(const ClientId& client, const std::string& key, const EventBatch* batch, size_t row) {
    std::string id = operator_key(StateOperator::kMergedRow, client, domain_, key);
    auto at = index_.find(id);
    if (at == index_.end()) {
      std::vector<std::string> one{id};
      auto values = state_.get(one);
      if (!values.ok()) return {values.error(), true};
      Status loaded = load(client, key, id, std::move((*values)[0]));
      if (!loaded.ok()) return {loaded.error(), true};
      at = index_.find(id);
    }
    Entry& entry = entries_[at->second];
    if (batch != nullptr) {
      entry.batch = batch;
      entry.row = row;
    }
    return {{}, false, &entry};
  }

  Status load(const ClientId& client, const std::string& key, const std::string& id,
              std::optional<std::string> stored) {
    Entry entry;
    entry.client = client;
    entry.key = key;
    if (stored) {
      ASSIGN_OR_RETURN(entry.state, RowState::decode(*stored, [&](uint32_t version) {
                         return find_schema_(client, tables_.at(client), version);
                       }));
      entry.before = std::move(*stored);
      if (options_.keep_rows && entry.state.live() && entry.state.complete()) entry.given_out = entry.state;
    }
    const RangeFloors& floors = clients_.at(client).floors;
    if (!floors.empty()) raise_floor(entry.state, floors.floor_of(key));
    index_.emplace(id, entries_.size());
    entries_.push_back(std::move(entry));
    return {};
  }

  Status load_all() {
    std::vector<std::string> ids;
    std::vector<std::pair<const EventBatch*, std::string>> of;
    for (const EventBatch* batch : batches_) {
      if (!clients_.at(batch->client).stateful) continue;
      for (size_t row = 0; row < batch->rows(); ++row) {
        std::string key = batch->row_key(row);
        std::string id = operator_key(StateOperator::kMergedRow, batch->client, domain_, key);
        if (!wanted_.insert(id).second || index_.contains(id)) continue;
        ids.push_back(std::move(id));
        of.emplace_back(batch, std::move(key));
      }
    }
    if (ids.empty()) return {};
    ASSIGN_OR_RETURN(auto values, state_.get(ids));
    for (size_t i = 0; i < ids.size(); ++i) {
      RETURN_IF_ERROR(load(of[i].first->client, of[i].second, ids[i], std::move(values[i])));
    }
    return {};
  }

  Status merge_rows() {
    RETURN_IF_ERROR(load_all());
    for (const EventBatch* batch : batches_) {
      if (!clients_.at(batch->client).stateful) continue;
      for (size_t row = 0; row < batch->rows(); ++row) {
        Touched touched = touch(batch->client, batch->row_key(row), batch, row);
        RETURN_IF_ERROR(touched.error_or_ok());
        std::vector<MovedValues> moved;
        merge_fact(touched.entry->state, *batch, row, moved);
        RETURN_IF_ERROR(follow(batch->client, std::move(moved)));
      }
    }
    for (Entry& entry : entries_) emit(entry);
    return {};
  }

  // Brings values that moved with a key change to their new keys; a row may have moved on.
  Status follow(const ClientId& client, std::vector<MovedValues> moved) {
    while (!moved.empty()) {
      MovedValues values = std::move(moved.back());
      moved.pop_back();
      Touched touched = touch(client, values.to_key, nullptr, 0);
      RETURN_IF_ERROR(touched.error_or_ok());
      merge_moved(touched.entry->state, values, moved);
    }
    return {};
  }

  void emit(Entry& entry) {
    std::string after = entry.state.encode();
    if (after == entry.before && !entry.again) return;
    if (after != entry.before)
      state_.put(operator_key(StateOperator::kMergedRow, entry.client, domain_, entry.key), after);
    if (entry.given_out) {
      before_->begin(entry.client, entry.key, entry.given_out->position, entry.given_out->fill);
      before_->cells_of(*entry.given_out);
    }
    std::string parked = operator_key(StateOperator::kParked, entry.client, domain_, entry.key);
    if (!entry.state.live()) {
      state_.erase(parked);
      // Without a fact about the key in this round the range fact withdraws the row.
      if (entry.batch == nullptr) return;
      gone_->begin(entry.client, entry.key, entry.state.floor, 0);
      gone_->key_cells_of(*entry.batch, entry.row);
    } else if (!entry.state.complete()) {
      const std::string& table = tables_.at(entry.client);
      state_.put(parked, table);
      output_.parked.push_back({entry.client, table, entry.key});
    } else {
      state_.erase(parked);
      live_->begin(entry.client, entry.key, entry.state.position, entry.state.fill);
      live_->cells_of(entry.state);
    }
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
  std::unordered_map<std::string, size_t> index_;
  std::unordered_set<std::string> wanted_;
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
  ASSIGN_OR_RETURN(Sweeps known, sweeps(state, state_name, client));
  known.list.push_back({{}, {}, true, std::move(old_attributes)});
  state.put(operator_key(StateOperator::kSweep, client, state_name, {}), known.encode());
  return {};
}

Result<Sweeps> DomainMerge::sweeps(KeyedState& state, const std::string& state_name, const ClientId& client) {
  std::vector<std::string> keys{operator_key(StateOperator::kSweep, client, state_name, {})};
  ASSIGN_OR_RETURN(auto values, state.get(keys));
  if (!values[0]) return Sweeps{};
  return Sweeps::decode(*values[0]);
}

}  // namespace tributary
