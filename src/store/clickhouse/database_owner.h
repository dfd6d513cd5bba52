// Whose the database of the views' tables is. Versions of rows are counted in a data directory, so rows of two of them in one
// table would replace each other at random: a database belongs to the first one that prepares it, for good.
//
// The mark is the comment of a table ` owner`, which holds nothing: CREATE TABLE IF NOT EXISTS lets one of two win.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "store/clickhouse/database_layout.h"

namespace tributary {

// Pure. `layout.owner` is not empty.
std::string owner_query(const DatabaseLayout& layout);  // gives the mark, RowBinary; nothing where there is none
std::string claim_sql(const DatabaseLayout& layout);

// kAlreadyExists: the mark, as owner_query() gave it, names another data directory. Without a mark it is nobody's.
Status check_owner(const DatabaseLayout& layout, std::string_view mark);

}  // namespace tributary
