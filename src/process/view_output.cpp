#include "process/view_output.h"

#include <algorithm>
#include <unordered_map>

namespace tributary {
namespace {

void append(OutputBatch& batch, const VersionedRows& rows, uint8_t deleted) {
  std::vector<uint32_t> number;
  for (const ClientId& client : rows.rows.clients) {
    auto at = std::find(batch.clients.begin(), batch.clients.end(), client);
    if (at == batch.clients.end()) at = batch.clients.insert(at, client);
    number.push_back(static_cast<uint32_t>(at - batch.clients.begin()));
  }
  for (size_t row = 0; row < rows.rows.rows(); ++row) {
    batch.client_of_row.push_back(number[rows.rows.client_of_row[row]]);
    batch.keys.push_back(rows.rows.keys[row]);
    batch.versions.push_back(Version::of_row(rows.positions[row], rows.revisions[row], rows.fills[row]));
    batch.deleted.push_back(deleted);
  }
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    const Column& from = rows.rows.columns[i];
    if (batch.columns[i].rows() == 0) {
      batch.columns[i] = from;
    } else {
      for (size_t row = 0; row < from.rows(); ++row) batch.columns[i].append_from(from, row);
    }
  }
}

std::vector<size_t> sort_columns(std::span<const OutputColumn> columns, const std::vector<std::string>& order_by) {
  std::vector<size_t> out;
  for (const std::string& name : order_by) {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].name == name) out.push_back(i);
    }
  }
  return out;
}

}  // namespace

OutputBatch versioned_output(const Flow& flow) {
  OutputBatch batch;
  const Rows& layout = flow.live.rows.columns.empty() ? flow.gone.rows : flow.live.rows;
  for (const Column& column : layout.columns) batch.columns.emplace_back(column.type());
  append(batch, flow.live, 0);
  append(batch, flow.gone, 1);
  return batch;
}

OutputBatch changed_output(const Rows& changes, std::span<const OutputColumn> columns,
                           const std::vector<std::string>& order_by, const Version& version) {
  std::vector<size_t> sorted = sort_columns(columns, order_by);
  std::vector<std::unordered_map<std::string_view, uint32_t>> came(changes.clients.size());
  for (uint32_t row = 0; row < changes.rows(); ++row) {
    if (changes.weights[row] > 0) came[changes.client_of_row[row]].emplace(changes.keys[row], row);
  }
  std::vector<uint32_t> rows;
  OutputBatch batch;
  for (uint32_t row = 0; row < changes.rows(); ++row) {
    if (changes.weights[row] == 0) continue;
    if (changes.weights[row] < 0) {
      auto twin = came[changes.client_of_row[row]].find(changes.keys[row]);
      bool same_place = twin != came[changes.client_of_row[row]].end() &&
                        std::all_of(sorted.begin(), sorted.end(), [&](size_t column) {
                          return changes.columns[column].same_cell(row, changes.columns[column], twin->second);
                        });
      if (same_place) continue;
    }
    rows.push_back(row);
    batch.deleted.push_back(changes.weights[row] < 0 ? 1 : 0);
  }
  Rows out = gather(changes, rows);
  batch.clients = std::move(out.clients);
  batch.client_of_row = std::move(out.client_of_row);
  batch.columns = std::move(out.columns);
  batch.keys = std::move(out.keys);
  batch.versions.assign(batch.keys.size(), version);
  return batch;
}

}  // namespace tributary
