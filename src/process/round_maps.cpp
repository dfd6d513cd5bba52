#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "model/gather.h"
#include "process/round.h"

namespace tributary {
namespace {

// Rows `selection` of `like` with the columns of `mapped`.
Rows mapped_selection(const Rows& like, const MappedRows& mapped, std::span<const uint32_t> selection) {
  Rows out;
  out.clients = like.clients;
  for (const Column& column : mapped.columns) out.columns.push_back(gather(column, selection));
  for (uint32_t row : selection) out.begin(like.client_of_row[row], like.keys[row], like.weights[row]);
  return out;
}

VersionedRows mapped_selection(const VersionedRows& like, const MappedRows& mapped,
                               std::span<const uint32_t> selection) {
  VersionedRows out{mapped_selection(like.rows, mapped, selection), {}, {}, {}};
  for (uint32_t row : selection) {
    out.positions.push_back(like.positions[row]);
    out.fills.push_back(like.fills[row]);
    out.revisions.push_back(like.revisions[row]);
  }
  return out;
}

std::vector<uint32_t> rows_that(const MappedRows& mapped, bool pass) {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < mapped.passes.size(); ++row) {
    if ((mapped.passes[row] != 0) == pass) rows.push_back(row);
  }
  return rows;
}

// Where no state is kept, a round may give several facts of one row: the newest counts.
class NewestFacts {
 public:
  void add(const VersionedRows& rows) {
    for (size_t row = 0; row < rows.rows.rows(); ++row) {
      Position& newest = positions_[row_id(rows.rows, row)];
      newest = std::max(newest, rows.positions[row]);
    }
  }
  bool is_outdated(const Rows& rows, size_t row, const Position& position) const {
    return position < positions_.at(row_id(rows, row));
  }

 private:
  std::unordered_map<std::string, Position> positions_;
};

}  // namespace

Result<MappedRows> Round::map_rows(const MapStage& stage, const Rows& rows) {
  size_t workers = rows.rows() < graph_.options.limits.parallel_rows_min ? 1 : states_.size();
  if (workers == 1) return stage.run(rows.columns, rows.rows(), rows.client_of_row, 0);
  std::vector<MappedRows> parts(states_.size());
  RETURN_IF_ERROR(in_parallel([&](size_t worker) -> Status {
    size_t begin = rows.rows() * worker / workers;
    size_t end = rows.rows() * (worker + 1) / workers;
    std::vector<uint32_t> selection(end - begin);
    std::iota(selection.begin(), selection.end(), static_cast<uint32_t>(begin));
    std::vector<Column> columns;
    columns.reserve(rows.columns.size());
    for (const Column& column : rows.columns) columns.push_back(gather(column, selection));
    ASSIGN_OR_RETURN(parts[worker], stage.run(columns, selection.size(),
                                              std::span(rows.client_of_row).subspan(begin, end - begin), worker));
    return {};
  }));
  MappedRows out = std::move(parts[0]);
  for (size_t part = 1; part < parts.size(); ++part) {
    auto begin = static_cast<uint32_t>(out.passes.size());
    for (RowError& error : parts[part].errors) out.errors.push_back({begin + error.row, std::move(error.message)});
    for (size_t i = 0; i < out.columns.size(); ++i) {
      for (size_t row = 0; row < parts[part].passes.size(); ++row)
        out.columns[i].append_from(parts[part].columns[i], row);
    }
    out.passes.insert(out.passes.end(), parts[part].passes.begin(), parts[part].passes.end());
  }
  return out;
}

Status Round::run_map(size_t number, Flow& flow) {
  const GraphNode& node = graph_.nodes[number];
  const Flow& from = flows_[node.inputs[0]];
  std::unordered_set<std::string> failed;
  NewestFacts newest;
  auto note = [&](const MappedRows& mapped, const Rows& rows, const std::vector<Position>* positions) {
    for (const RowError& error : mapped.errors) {
      if (rows.weights[error.row] < 0) continue;  // it was not there either
      if (positions != nullptr && newest.is_outdated(rows, error.row, (*positions)[error.row])) continue;
      failed.insert(row_id(rows, error.row));
      note_failed(node, rows.client_at(error.row), rows.keys[error.row],
                  positions == nullptr ? Position{} : (*positions)[error.row], error.message);
    }
  };
  void_dead_rows(number);
  if (!node.by_row) {
    const Rows& rows = changes_of(node.inputs[0]);
    ASSIGN_OR_RETURN(MappedRows mapped, map_rows(*node.map, rows));
    note(mapped, rows, nullptr);
    note_fine(node, rows, failed);
    flow.changes = mapped_selection(rows, mapped, rows_that(mapped, true));
    consolidate(flow.changes);
    return {};
  }
  ASSIGN_OR_RETURN(MappedRows live, map_rows(*node.map, from.live.rows));
  if (!live.errors.empty()) {
    newest.add(from.live);
    newest.add(from.gone);
  }
  note(live, from.live.rows, &from.live.positions);
  note_fine(node, from.live.rows, failed, &from.live.positions);
  note_fine(node, from.gone.rows, failed, &from.gone.positions);
  flow.live = mapped_selection(from.live, live, rows_that(live, true));
  flow.gone = mapped_selection(from.live, live, rows_that(live, false));
  // Of rows that are gone only what is passed through is known.
  const Rows& gone = from.gone.rows;
  flow.gone.rows.clients = flow.live.rows.clients;
  for (size_t row = 0; row < gone.rows(); ++row) flow.gone.begin_like(from.gone, row, gone.keys[row]);
  const MapPlan& plan = node.plan->map;
  const auto& layout = graph_.nodes[node.inputs[0]].plan->columns;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    Column& column = flow.gone.rows.columns[i];
    size_t source = layout.size();
    if (plan.outputs[i].input) {
      const std::string& name = plan.inputs[*plan.outputs[i].input].name;
      source = static_cast<size_t>(
          std::find_if(layout.begin(), layout.end(), [&](const OutputColumn& of) { return of.name == name; }) -
          layout.begin());
    }
    for (size_t row = 0; row < gone.rows(); ++row) {
      if (source < layout.size()) {
        column.append_from(gone.columns[source], row);
      } else {
        column.append_null();
      }
    }
  }
  if (!node.taken_back) return {};
  note_fine(node, from.before, failed);
  ASSIGN_OR_RETURN(MappedRows before, map_rows(*node.map, from.before));
  flow.before = mapped_selection(from.before, before, rows_that(before, true));
  return {};
}

}  // namespace tributary
