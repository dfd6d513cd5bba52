#include "sim_world.h"

#include <cstdio>

#include "sim_views.h"

namespace tributary::simulation {
namespace {

int32_t parse_date(const std::string& text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  CHECK(std::sscanf(text.c_str(), "%d-%u-%u", &year, &month, &day) == 3);
  return days_from_civil(year, month, day);
}

}  // namespace

void append_text_value(Column& column, const Value& value) {
  if (!value) return column.append_null();
  if (stand_in(column.type(), *value)) return column.append_text(*value);
  switch (column.type().id) {
    case TypeId::kBool: return column.append_fixed<uint8_t>(*value == "true" ? 1 : 0);
    case TypeId::kInt16: return column.append_fixed<int16_t>(static_cast<int16_t>(std::stoi(*value)));
    case TypeId::kInt32: return column.append_fixed<int32_t>(std::stoi(*value));
    case TypeId::kInt64: return column.append_fixed<int64_t>(std::stoll(*value));
    case TypeId::kFloat64: return column.append_fixed<double>(std::stod(*value));
    case TypeId::kDecimal:
      return column.append_fixed<Int128>(*parse_decimal(*value, column.type().precision, column.type().scale));
    case TypeId::kDate: return column.append_fixed<int32_t>(parse_date(*value));
    case TypeId::kTimestamp:
      return column.append_fixed<int64_t>((int64_t{parse_date(*value)} * 24 + std::stoi(value->substr(11, 2))) *
                                          3'600'000'000);
    default: return column.append_bytes(*value);
  }
}

World::World(const SimCase& sim) : sim_(sim) {
  for (uint32_t i = 0; i < sim.domains.size(); ++i) {
    const DomainShape& shape = sim.domains[i];
    TableSchema schema;
    schema.table = "public." + shape.name;
    schema.key_columns = shape.key;
    for (uint32_t version : {1U, 2U}) {
      schema.version = shape.grows ? version : 1;
      schema.columns = shape.columns;
      if (shape.grows && version == 1) {
        schema.columns.pop_back();
        for (ColumnSchema& column : schema.columns) {
          if (column.name == "n") column.type = {TypeId::kInt32};
        }
      }
      schemas_.push_back(std::make_shared<const TableSchema>(schema));
    }
    for (uint32_t client = 0; client < sim.clients.size(); ++client) {
      tables_[{client, i}];
      versions_[{client, i}] = 1;
    }
  }
}

std::vector<Value> World::cells(uint32_t domain, int64_t key, const std::vector<Value>& values) const {
  std::vector<Value> cells;
  size_t next = 0;
  for (const ColumnSchema& column : sim_.domains[domain].columns) {
    if (column.name == "id") {
      cells.emplace_back(std::to_string(key));
    } else if (column.key) {
      cells.emplace_back(std::string(1, static_cast<char>('p' + key % 3)));
    } else {
      cells.push_back(next < values.size() ? values[next] : std::nullopt);
      ++next;
    }
  }
  return cells;
}

std::string World::row_key(uint32_t domain, int64_t key) const {
  EventBatch batch(ClientId{"x"}, "x", schema(domain, 2));
  auto row = cells(domain, key, {});
  for (size_t i = 0; i < row.size(); ++i) append_text_value(batch.columns[i], row[i]);
  batch.ops.push_back(Op::kCreate);
  return batch.row_key(0);
}

std::vector<Fact> World::apply(const Step& step, std::set<std::string>& kinds) {
  auto& table = tables_.at({step.client, step.domain});
  const DomainShape& shape = sim_.domains[step.domain];
  if (step.kind == StepKind::kSnapshot) {
    kinds.insert("snapshot");
    return snapshot(step);
  }
  if (step.kind == StepKind::kGrow) {
    grow(step.client, step.domain, kinds);
    return {};
  }
  Fact fact{.client = step.client,
            .domain = step.domain,
            .version = version(step.client, step.domain),
            .op = Op::kCreate,
            .position = {1, commit_, 5, 0},
            .key = step.key,
            .values = step.values,
            .left_out = {},
            .moved = {},
            .range = {}};
  if (shape.grows && fact.version == 1 && !fact.values.empty()) fact.values.back() = std::nullopt;
  auto at = table.find(step.key);
  // Columns left out keep their values.
  auto leave_out = [&](const Row& before, Row& now) {
    size_t next = 0;
    for (uint32_t i = 0; i < shape.columns.size(); ++i) {
      if (shape.columns[i].key) continue;
      if (step.left_out.contains(i)) {
        now[next] = before[next];
        fact.left_out.insert(i);
        kinds.insert("absent value");
      }
      ++next;
    }
  };
  switch (step.kind) {
    case StepKind::kPut: {
      Row now = fact.values;
      if (at != table.end()) {
        fact.op = Op::kUpdate;
        leave_out(at->second, now);
        kinds.insert("update of value");
        if (now[0] != at->second[0]) kinds.insert("update of join or group key");
      } else {
        kinds.insert(deleted_once_[{step.client, step.domain}].contains(step.key) ? "re-insert" : "insert");
      }
      for (const Value& value : now) {
        if (!value) kinds.insert("NULL in a key");  // any column may be one
      }
      bool unseen = step.unseen && at == table.end() && !deleted_once_[{step.client, step.domain}].contains(step.key);
      fact.values = now;
      table[step.key] = std::move(now);
      if (unseen) {
        unseen_.emplace(step.client, step.domain, step.key);
        ++commit_;
        return {};
      }
      break;
    }
    case StepKind::kDelete:
      if (at == table.end()) return {};
      fact.op = Op::kDelete;
      table.erase(at);
      deleted_once_[{step.client, step.domain}].insert(step.key);
      kinds.insert("delete");
      break;
    case StepKind::kMove: {
      if (at == table.end() || table.contains(step.other_key)) return {};
      Row now = fact.values;
      leave_out(at->second, now);
      Fact gone = fact;
      gone.op = Op::kDelete;
      gone.moved = step.other_key;
      gone.left_out.clear();
      fact.key = step.other_key;
      fact.moved = step.key;
      fact.values = now;
      deleted_once_[{step.client, step.domain}].insert(step.key);
      table.erase(at);
      table[step.other_key] = std::move(now);
      ++commit_;
      unseen_.erase({step.client, step.domain, step.key});
      kinds.insert("row key changes");
      return {gone, fact};
    }
    case StepKind::kTruncate:
      for (const auto& [key, row] : table) deleted_once_[{step.client, step.domain}].insert(key);
      table.clear();
      fact.range = RangeFact{RangeKind::kTruncate, fact.position, "", "", 0, 0};
      kinds.insert("truncate");
      break;
    default: return {};
  }
  ++commit_;
  if (step.kind == StepKind::kTruncate) {
    std::erase_if(unseen_,
                  [&](const auto& row) { return std::get<0>(row) == step.client && std::get<1>(row) == step.domain; });
  } else {
    unseen_.erase({step.client, step.domain, step.key});
  }
  return {fact};
}

std::vector<Fact> World::snapshot_of_unseen() {
  std::vector<Fact> facts;
  for (const auto& [client, domain, key] : unseen_) facts.push_back(read_again(client, domain, row_key(domain, key)));
  unseen_.clear();
  return facts;
}

// A fact of what the table holds now, still without a row.
Fact World::read_now(uint32_t client, uint32_t domain) {
  return {.client = client,
          .domain = domain,
          .version = version(client, domain),
          .op = Op::kSnapshot,
          .position = Position::end_of_commit(1, commit_++),
          .key = 0,
          .values = {},
          .left_out = {},
          .moved = {},
          .range = {}};
}

Fact World::read_again(uint32_t client, uint32_t domain, std::string_view key) {
  Fact fact = read_now(client, domain);
  for (const auto& [id, row] : tables_.at({client, domain})) {
    if (row_key(domain, id) != key) continue;
    fact.key = id;
    fact.values = row;
    return fact;
  }
  fact.range = RangeFact{RangeKind::kAbsence, fact.position, std::string(key), std::string(key) + '\0', 0, 0};
  return fact;
}

// What is read is what the table holds now; keys of the range that it does not hold are absent.
std::vector<Fact> World::snapshot(const Step& step) {
  Fact like = read_now(step.client, step.domain);
  std::string low = step.key == 0 ? "" : row_key(step.domain, step.key);
  std::string high = step.other_key == 0 ? "" : row_key(step.domain, step.other_key);
  if (!high.empty() && high <= low) high.clear();
  std::vector<Fact> facts{like};
  facts[0].range = RangeFact{RangeKind::kAbsence, like.position, low, high, 0, 0};
  for (const auto& [id, row] : tables_.at({step.client, step.domain})) {
    if (!facts[0].range->covers(row_key(step.domain, id))) continue;
    like.key = id;
    like.values = row;
    facts.push_back(like);
  }
  return facts;
}

// Rows have NULL in the new column until they are written again.
void World::grow(uint32_t client, uint32_t domain, std::set<std::string>& kinds) {
  if (!sim_.domains[domain].grows || versions_.at({client, domain}) == 2) return;
  versions_.at({client, domain}) = 2;
  kinds.insert("schema grows");
}

void World::append(EventBatch& batch, const Fact& fact) const {
  if (fact.range) {
    batch.ranges.push_back(*fact.range);
    return;
  }
  if (fact.moved) batch.moved.push_back({static_cast<uint32_t>(batch.rows()), row_key(fact.domain, *fact.moved)});
  auto row = cells(fact.domain, fact.key, fact.values);
  for (uint32_t i = 0; i < batch.columns.size(); ++i) {
    bool key = batch.schema->columns[i].key;
    if (!key && (fact.op == Op::kDelete || fact.left_out.contains(i))) {
      batch.columns[i].append_absent();
    } else {
      append_text_value(batch.columns[i], row[i]);
    }
  }
  batch.ops.push_back(fact.op);
  batch.positions.push_back(fact.position);
  batch.commit_micros.push_back(0);
  batch.transactions.push_back(0);
}

}  // namespace tributary::simulation
