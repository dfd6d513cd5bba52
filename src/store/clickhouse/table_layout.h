// What TableOptions mean in ClickHouse: clauses of a table, and the comment by which a table tells how it was made.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contracts/analytics.h"

namespace tributary {

// The time from which on a row is gone, as a DateTime: of a column that is 1970-01-01 00:00:00 (as one is whose value its
// type cannot hold) or NULL never. 1 is the least, since a TTL of 0 is none to ClickHouse. Counted in Int64, since ClickHouse's DateTime wraps around at 2106.
std::string ttl_sql(const TableDefinition& table);

// "tributary layout", then a line each: "partition_by toYYYYMM(day)", "ttl day 31536000", "set index_granularity 1024".
// Empty where the options are the defaults.
std::string layout_comment(const TableOptions& options);
// The inverse. A comment of somebody else's is that of the defaults.
TableOptions layout_of(std::string_view comment);

// " PARTITION BY …", behind ENGINE; " TTL …", behind ORDER BY; ", a = 'b'", behind the pipeline's own settings.
std::string partition_clause(const TableOptions& options);
std::string ttl_clause(const TableDefinition& table);
std::string settings_clause(const TableOptions& options);

// Whether a table must be made anew to have these options.
bool needs_new_table(const TableOptions& was, const TableOptions& wanted);
// What an ALTER TABLE of `table` says, after "ALTER TABLE name "; none where nothing changed.
std::vector<std::string> layout_changes(const TableOptions& was, const TableDefinition& table);

}  // namespace tributary
