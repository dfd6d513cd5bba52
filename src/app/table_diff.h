// How two tables of a view differ, for one client: rows added, removed and changed, some of them in full, and the sums of
// numeric columns. Asked of the store in one query a question, so no row but the samples comes here.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/strong.h"
#include "store/clickhouse/clickhouse_store.h"

namespace tributary {

struct TableDiff {
  uint64_t rows_before = 0;
  uint64_t rows_after = 0;
  uint64_t added = 0;
  uint64_t removed = 0;
  uint64_t changed = 0;
  nlohmann::json columns_added = nlohmann::json::array();  // names
  nlohmann::json columns_removed = nlohmann::json::array();  // names; neither is compared
  // {"total": {"before": "10.00", "after": "12.50", "delta": "2.50"}}: of columns that both have and whose sums differ.
  nlohmann::json sums = nlohmann::json::object();
  // {"added": [{…}], "removed": [{…}], "changed": [{"before": {…}, "after": {…}}]}
  nlohmann::json samples = nlohmann::json::object();

  bool none() const { return added + removed + changed == 0; }
  nlohmann::json to_json() const;
};

// Either name may be empty: that side has no rows. `samples`: at most so many rows of each kind.
Result<TableDiff> diff_tables(ClickHouseStore& store, const std::string& before, const std::string& after,
                              const ClientId& client, size_t samples);

}  // namespace tributary
