// Whose the database of the views' tables is. Versions of rows are counted in a data directory, so rows of two of them in one
// table would replace each other at random: a database belongs to the first one that prepares it, for good.
//
// A client's database may have the name of another pipeline's (shop's client eu, and shop_eu): whoever asks as that client would
// see those tables. So a database of tables is never one of read views.
//
// The mark is the comment of a table ` owner`, which holds nothing: CREATE TABLE IF NOT EXISTS lets one of two win.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "contracts/run_ledger.h"
#include "store/clickhouse/database_layout.h"

namespace tributary {

inline constexpr const char* owner_table = " owner";  // no view's name begins with a space

// Pure. `layout.owner` is not empty.
std::string owner_query(const DatabaseLayout& layout);  // gives the mark, RowBinary; nothing where there is none
std::string claim_sql(const DatabaseLayout& layout);
std::string views_query(const DatabaseLayout& layout);  // how many read views there are in the database of the tables

// The run of that data directory which wrote there last, as the comment of the mark's column.
std::string run_query(const DatabaseLayout& layout);  // RowBinary; nothing, or an empty text, where there is none
std::string run_sql(const DatabaseLayout& layout, const std::string& run);
// kAlreadyExists: `run`, as run_query() gave it, is none that the ledger knows.
Status check_run(const DatabaseLayout& layout, const RunLedger& runs, std::string_view run);

// kAlreadyExists: the mark, as owner_query() gave it, names another data directory. Without a mark it is nobody's.
Status check_owner(const DatabaseLayout& layout, std::string_view mark);

}  // namespace tributary
