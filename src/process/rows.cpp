#include "process/rows.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "model/gather.h"

namespace tributary {
namespace {

bool same_row(const Rows& rows, size_t a, size_t b) {
  return std::all_of(rows.columns.begin(), rows.columns.end(),
                     [&](const Column& column) { return column.same_cell(a, column, b); });
}

// Takes one row that went and one that came with the same content out of `members`, until there is no such pair.
void cancel_pairs(const Rows& rows, std::vector<uint32_t>& members) {
  for (size_t i = 0; i < members.size();) {
    auto twin = std::find_if(members.begin() + static_cast<ptrdiff_t>(i) + 1, members.end(), [&](uint32_t other) {
      return rows.weights[other] == -rows.weights[members[i]] && same_row(rows, other, members[i]);
    });
    if (twin == members.end()) {
      ++i;
      continue;
    }
    members.erase(twin);
    members.erase(members.begin() + static_cast<ptrdiff_t>(i));
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

void consolidate(Rows& rows) {
  struct Id {
    uint32_t client;
    std::string_view key;
    bool operator==(const Id&) const = default;
  };
  struct Hash {
    size_t operator()(const Id& id) const { return std::hash<std::string_view>{}(id.key) * 31 + id.client; }
  };
  std::unordered_map<Id, std::vector<uint32_t>, Hash> by_key;
  by_key.reserve(rows.rows());
  bool pairs = false;
  for (uint32_t row = 0; row < rows.rows(); ++row) {
    auto& members = by_key[{rows.client_of_row[row], rows.keys[row]}];
    pairs = pairs || !members.empty();
    members.push_back(row);
  }
  std::vector<uint32_t> went;
  std::vector<uint32_t> came;
  if (pairs) {
    for (auto& [id, members] : by_key) {
      if (members.size() > 1) cancel_pairs(rows, members);
      for (uint32_t row : members) (rows.weights[row] < 0 ? went : came).push_back(row);
    }
    std::sort(went.begin(), went.end());
    std::sort(came.begin(), came.end());
  } else {
    for (uint32_t row = 0; row < rows.rows(); ++row) (rows.weights[row] < 0 ? went : came).push_back(row);
    if (went.empty() || came.empty()) return;
  }
  went.insert(went.end(), came.begin(), came.end());
  rows = gather(rows, went);
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
