// `history: true`: every version of a view's rows that readers could see, with the time from which and until which they
// could (docs/formats/analytics-table.md, "History").
//
//   table _tributary.`sales history`   as the view's own, but a row a version: replaced by (client, order_by, _key, _version)
//   view  acme.sales_history           the columns, _unrepresentable, valid_from, valid_to (NULL: now)
//
// A version is valid from when the store first got it until it first got a newer one of its row. One that comes after a newer one was
// never seen: it is not in the view. So `valid_from <= t AND (valid_to > t OR valid_to IS NULL)` is what the view
// showed at t.
#pragma once

#include <string>

#include "store/clickhouse/table_ddl.h"

namespace tributary {

std::string history_name(const std::string& table);
// The columns by which a table of versions differs from the view's own, with their defaults.
std::vector<ExistingColumn> history_columns();
std::string history_engine();

ReadView history_view(const DatabaseLayout& layout, const TableDefinition& table, const ExistingTable& existing,
                      const ClientId& client);

}  // namespace tributary
