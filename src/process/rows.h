// Rows: what flows between operators. Rows of one relation that came or went, of any number of clients, in columns.
//
// A relation has at most one row under a (client, key). A row that changes goes (weight −1, as it was) and comes (weight
// +1, as it is), so that what follows can take back what it made of it. Order within Rows has no meaning.
//
// A row of weight 0 is there and has not changed: it is shown again, since what is made of it is wanted once more (a retry of
// what failed). It is given on wherever a row that comes would be, and changes no state and no result.
//
//   Rows rows(types);
//   uint32_t acme = rows.client(ClientId("acme"));
//   rows.append(acme, key, -1, columns_before, row);
//   rows.append(acme, key, +1, columns_after, row);
//   consolidate(rows);                                    // nothing is left where both were the same
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/strong.h"
#include "contracts/analytics.h"
#include "model/column.h"

namespace tributary {

struct Rows {
  std::vector<ClientId> clients;
  std::vector<uint32_t> client_of_row;  // index into clients
  std::vector<Column> columns;
  std::vector<std::string> keys;
  std::vector<int8_t> weights;  // +1, −1, or 0

  Rows() = default;
  explicit Rows(std::span<const OutputColumn> layout) {
    for (const OutputColumn& column : layout) columns.emplace_back(column.type);
  }

  size_t rows() const { return keys.size(); }
  bool empty() const { return keys.empty(); }
  const ClientId& client_at(size_t row) const { return clients[client_of_row[row]]; }

  // The number of `id` in clients, added where it is new.
  uint32_t client(const ClientId& id);

  // Opens a row whose cells the caller appends, one to each column.
  void begin(uint32_t client, std::string key, int8_t weight) {
    client_of_row.push_back(client);
    keys.push_back(std::move(key));
    weights.push_back(weight);
  }
  // Row `row` of `other`, whose first columns have the types of ours.
  void append_row(const Rows& other, size_t row, uint32_t client, std::string key, int8_t weight);

  // All rows of `other`, which has the same layout.
  void append_all(const Rows& other);
};

// The rows `rows` in that order.
Rows gather(const Rows& rows, std::span<const uint32_t> selection);

// Rows that came and went alike are left out, or with kShownAgain made one of weight 0. Afterwards at most one row of a (client,
// key) comes and at most one goes, or one is shown again; those that go stand before the others.
enum class Unchanged : uint8_t { kLeftOut, kShownAgain };
void consolidate(Rows& rows, Unchanged unchanged = Unchanged::kLeftOut);
// Whether a row comes or goes.
bool has_changes(const Rows& rows);

// Splits rows by `part_of_row` into `parts` parts of the same layout.
std::vector<Rows> split(Rows rows, std::span<const uint32_t> part_of_row, size_t parts);

}  // namespace tributary
