#include "process/rows.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "base/arena.h"
#include "model/gather.h"

namespace tributary {
namespace {

constexpr uint32_t no_row = UINT32_MAX;

bool same_row(const Rows& rows, size_t a, size_t b) {
  return std::all_of(rows.columns.begin(), rows.columns.end(),
                     [&](const Column& column) { return column.same_cell(a, column, b); });
}

// Takes one row that went and one that came with the same content out of the chain from `first`, until there is no such pair.
// `next`: of each row the one behind it in its chain. A row of such a pair; no_row: there is none.
uint32_t cancel_pairs(const Rows& rows, uint32_t first, const std::vector<uint32_t>& next,
                      std::vector<uint8_t>& left_out) {
  uint32_t cancelled = no_row;
  for (uint32_t row = first; row != no_row; row = next[row]) {
    if (rows.weights[row] == 0) continue;
    for (uint32_t other = next[row]; other != no_row && left_out[row] == 0; other = next[other]) {
      if (left_out[other] != 0 || rows.weights[other] != -rows.weights[row] || !same_row(rows, other, row)) continue;
      left_out[row] = left_out[other] = 1;
      cancelled = row;
    }
  }
  return cancelled;
}

// Of a chain in which nothing comes or goes any more one row is left that is shown again, if there was one; else none is.
void settle_shown(const Rows& rows, uint32_t first, const std::vector<uint32_t>& next, std::vector<uint8_t>& left_out) {
  bool shown = false;
  for (uint32_t row = first; row != no_row; row = next[row])
    shown = shown || (left_out[row] == 0 && rows.weights[row] != 0);
  for (uint32_t row = first; row != no_row; row = next[row]) {
    if (rows.weights[row] != 0 || left_out[row] != 0) continue;
    left_out[row] = shown ? 1 : 0;
    shown = true;
  }
}

}  // namespace

uint32_t Rows::client(const ClientId& id) {
  for (uint32_t i = static_cast<uint32_t>(clients.size()); i-- > 0;) {
    if (clients[i] == id) return i;
  }
  clients.push_back(id);
  return static_cast<uint32_t>(clients.size() - 1);
}

void Rows::append_row(const Rows& other, size_t row, uint32_t client, std::string key, int8_t weight) {
  begin(client, std::move(key), weight);
  for (size_t i = 0; i < columns.size(); ++i) columns[i].append_from(other.columns[i], row);
}

void Rows::append_all(const Rows& other) {
  if (other.empty()) return;
  std::vector<uint32_t> number;
  for (const ClientId& id : other.clients) number.push_back(client(id));
  for (size_t row = 0; row < other.rows(); ++row) {
    append_row(other, row, number[other.client_of_row[row]], other.keys[row], other.weights[row]);
  }
}

Rows gather(const Rows& rows, std::span<const uint32_t> selection) {
  Rows out;
  out.clients = rows.clients;
  for (const Column& column : rows.columns) out.columns.push_back(gather(column, selection));
  for (uint32_t row : selection) out.begin(rows.client_of_row[row], rows.keys[row], rows.weights[row]);
  return out;
}

void consolidate(Rows& rows, Unchanged unchanged) {
  struct Id {
    uint32_t client;
    std::string_view key;
    bool operator==(const Id&) const = default;
  };
  struct Hash {
    size_t operator()(const Id& id) const { return std::hash<std::string_view>{}(id.key) * 31 + id.client; }
  };
  bool went = false;
  bool came = false;
  bool shown = false;
  for (int8_t weight : rows.weights) (weight < 0 ? went : weight > 0 ? came : shown) = true;
  if (!shown && (!went || !came)) return;  // a relation has at most one row under a key
  auto id_of = [&](uint32_t row) { return Id{rows.client_of_row[row], rows.keys[row]}; };
  Arena arena;
  std::pmr::unordered_map<Id, uint32_t, Hash> newest(&arena);  // the row that was seen last under each key
  newest.reserve(rows.rows());
  std::vector<uint32_t> next(rows.rows(), no_row);
  std::vector<uint32_t> chained;  // rows that are not alone under their key: the last one of each chain, and others
  for (uint32_t row = 0; row < rows.rows(); ++row) {
    auto [at, added] = newest.try_emplace(id_of(row), row);
    if (added) continue;
    next[row] = at->second;
    at->second = row;
    chained.push_back(row);
  }
  std::vector<uint8_t> left_out(rows.rows(), 0);
  for (uint32_t row : chained) {
    if (newest.at(id_of(row)) != row) continue;
    uint32_t cancelled = cancel_pairs(rows, row, next, left_out);
    if (cancelled != no_row && unchanged == Unchanged::kShownAgain) {
      rows.weights[cancelled] = 0;
      left_out[cancelled] = 0;
    }
    settle_shown(rows, row, next, left_out);
  }
  std::vector<uint32_t> selection;
  selection.reserve(rows.rows());
  for (bool going : {true, false}) {
    for (uint32_t row = 0; row < rows.rows(); ++row) {
      if (left_out[row] == 0 && (rows.weights[row] < 0) == going) selection.push_back(row);
    }
  }
  rows = gather(rows, selection);
}

bool has_changes(const Rows& rows) {
  return std::any_of(rows.weights.begin(), rows.weights.end(), [](int8_t weight) { return weight != 0; });
}

std::vector<Rows> split(Rows rows, std::span<const uint32_t> part_of_row, size_t parts) {
  std::vector<std::vector<uint32_t>> selections(parts);
  for (uint32_t row = 0; row < rows.rows(); ++row) selections[part_of_row[row]].push_back(row);
  std::vector<Rows> out(parts);
  for (size_t part = 0; part < parts; ++part) {
    if (selections[part].size() == rows.rows()) {
      for (Rows& other : out) {
        if (other.columns.empty()) {
          for (const Column& column : rows.columns) other.columns.emplace_back(column.type());
        }
      }
      out[part] = std::move(rows);
      return out;
    }
  }
  for (size_t part = 0; part < parts; ++part) out[part] = gather(rows, selections[part]);
  return out;
}

}  // namespace tributary
