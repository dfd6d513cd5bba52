#include "process/first_row.h"

#include <algorithm>
#include <unordered_map>

#include "model/cells.h"
#include "model/row_key.h"
#include "process/state_operators.h"

namespace tributary {

FirstRowOperator::FirstRowOperator(FirstRowPlan plan, std::span<const OutputColumn> output, std::string name)
    : plan_(std::move(plan)),
      output_(output.begin(), output.end()),
      first_{static_cast<uint16_t>(StateOperator::kFirstRow), name},
      rows_{static_cast<uint16_t>(StateOperator::kPartitionRow), name} {}

std::string FirstRowOperator::partition_key(const Rows& rows, size_t row) const {
  std::string key;
  for (uint32_t column : plan_.partition) append_key_part(key, rows.columns[column], row);
  return key;
}

std::string FirstRowOperator::place_of(const Rows& rows, size_t row) const {
  std::string place;
  for (const OrderColumn& order : plan_.order) {
    append_ordered(place, rows.columns[order.column], row, order.descending, order.nulls_first);
  }
  for (uint32_t i = 0; i < plan_.output_columns; ++i) append_ordered(place, rows.columns[i], row, false, false);
  return place + rows.keys[row];
}

std::optional<std::string> FirstRowOperator::unusable(const Rows& rows, size_t row) const {
  for (const OrderColumn& order : plan_.order) {
    const Column& column = rows.columns[order.column];
    if (column.state(row) != CellState::kText) continue;
    return fmt::format("ORDER BY '{}', which its type {} cannot hold", column.text(row), column.type().to_string());
  }
  return std::nullopt;
}

uint64_t FirstRowOperator::exchange_hash(size_t /*input*/, const Rows& rows, size_t row) const {
  return exchange_hash_of(rows.client_at(row).value, partition_key(rows, row));
}

Result<std::vector<FirstRowOperator::Partition>> FirstRowOperator::load(KeyedState& state, const Rows& rows,
                                                                        std::vector<uint32_t>& partition_of_row) const {
  std::vector<Partition> partitions;
  std::vector<std::string> keys;
  std::unordered_map<std::string, uint32_t> index;
  for (size_t row = 0; row < rows.rows(); ++row) {
    std::string key = partition_key(rows, row);
    std::string id = first_.key(rows.client_at(row).value, key);
    auto [at, added] = index.try_emplace(id, static_cast<uint32_t>(partitions.size()));
    if (added) {
      Partition& partition = partitions.emplace_back();
      partition.client = rows.client_at(row);
      partition.key = std::move(key);
      keys.push_back(std::move(id));
    }
    partition_of_row.push_back(at->second);
  }
  ASSIGN_OR_RETURN(auto stored, state.get(keys));
  for (size_t i = 0; i < partitions.size(); ++i) {
    if (!stored[i]) continue;
    ByteReader reader(*stored[i]);
    partitions[i].stored = reader.string();
    partitions[i].cells = reader.rest();
    if (!reader.ok())
      return Error{ErrorCode::kCorrupt, fmt::format("a stored first row of {} does not decode", first_.name)};
    partitions[i].first = partitions[i].stored;
    partitions[i].first_cells = partitions[i].cells;
  }
  return partitions;
}

// Rows that go come before those that come: a row that stays at its place is put again after it was removed.
void FirstRowOperator::take(KeyedState& state, Partition& partition, const Rows& rows, size_t row) const {
  if (rows.weights[row] == 0) {
    partition.again = true;
    return;
  }
  std::string place = place_of(rows, row);
  std::string key = rows_.key(partition.client.value, partition.key + place);
  if (rows.weights[row] < 0) {
    state.erase(key);
    partition.lost = partition.lost || place == partition.first;
    return;
  }
  std::string cells;
  append_cells(cells, std::span(rows.columns).first(plan_.output_columns), row);
  state.put(key, cells);
  if (!partition.first.empty() && place >= partition.first) return;
  partition.first = std::move(place);
  partition.first_cells = std::move(cells);
}

Status FirstRowOperator::look(KeyedState& state, Partition& partition) const {
  partition.first.clear();
  partition.first_cells.clear();
  std::string prefix = rows_.key(partition.client.value, partition.key);
  return state.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
    partition.first = key.substr(prefix.size());
    partition.first_cells = value;
    return false;
  });
}

Status FirstRowOperator::append_result(const Partition& partition, const std::string& cells, int8_t weight,
                                       Rows& out) const {
  ByteReader reader(cells);
  if (!read_cells(reader, out.columns) || !reader.at_end()) {
    return Error{ErrorCode::kCorrupt, fmt::format("a stored row of {} does not decode", rows_.name)};
  }
  out.begin(out.client(partition.client), partition.key, weight);
  return {};
}

Result<OperatorOutput> FirstRowOperator::run(KeyedState& state, std::span<const Rows> inputs) {
  OperatorOutput out;
  out.rows = Rows(output_);
  const Rows& rows = inputs[0];
  if (rows.empty()) return out;
  std::vector<uint32_t> partition_of_row;
  ASSIGN_OR_RETURN(std::vector<Partition> partitions, load(state, rows, partition_of_row));
  for (size_t row = 0; row < rows.rows(); ++row) {
    if (auto reason = unusable(rows, row)) {
      if (rows.weights[row] >= 0) {
        out.failed.push_back({rows.client_at(row), rows.keys[row], *reason});
      } else {
        out.settled.push_back({rows.client_at(row), rows.keys[row]});
      }
      continue;
    }
    take(state, partitions[partition_of_row[row]], rows, row);
  }
  for (Partition& partition : partitions) {
    if (partition.lost) RETURN_IF_ERROR(look(state, partition));
    if (partition.again && !partition.first.empty()) {
      RETURN_IF_ERROR(append_result(partition, partition.first_cells, 0, out.rows));
    }
    if (partition.first == partition.stored && partition.first_cells == partition.cells) continue;
    if (!partition.stored.empty()) RETURN_IF_ERROR(append_result(partition, partition.cells, -1, out.rows));
    std::string key = first_.key(partition.client.value, partition.key);
    if (partition.first.empty()) {
      state.erase(key);
      continue;
    }
    std::string entry;
    put_string(entry, partition.first);
    entry += partition.first_cells;
    state.put(key, entry);
    RETURN_IF_ERROR(append_result(partition, partition.first_cells, +1, out.rows));
  }
  consolidate(out.rows);
  return out;
}

Result<OperatorOutput> FirstRowOperator::show_again(KeyedState& state, const ClientId& client, const std::string& key) {
  OperatorOutput out;
  out.rows = Rows(output_);
  std::vector<std::string> keys{first_.key(client.value, key)};
  ASSIGN_OR_RETURN(auto stored, state.get(keys));
  if (!stored[0]) return out;
  ByteReader reader(*stored[0]);
  reader.string();
  Partition partition;
  partition.client = client;
  partition.key = key;
  RETURN_IF_ERROR(append_result(partition, std::string(reader.rest()), 0, out.rows));
  return out;
}

}  // namespace tributary
