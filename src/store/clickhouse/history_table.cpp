#include "store/clickhouse/history_table.h"

#include "base/clickhouse_tokens.h"
#include "store/clickhouse/clickhouse_types.h"
#include "store/clickhouse/table_layout.h"

namespace tributary {

// No view's name holds a space.
std::string history_name(const std::string& table) { return table + " history"; }

// Of rows that came more than once the first one stays: ReplacingMergeTree keeps the greatest.
std::vector<ExistingColumn> history_columns() {
  return {
      {.name = written_column, .type = "DateTime64(6, 'UTC')", .default_sql = "now64(6, 'UTC')"},
      {.name = first_column,
       .type = "UInt64",
       .default_sql = "18446744073709551615 - toUInt64(toUnixTimestamp64Micro(" + std::string(written_column) + "))"}};
}

std::string history_engine() { return fmt::format("ReplacingMergeTree({})", first_column); }

ReadView history_view(const DatabaseLayout& layout, const TableDefinition& table, const ExistingTable& existing,
                      const ClientId& client) {
  std::string columns;
  for (const OutputColumn& column : table.columns) columns += quote_identifier(column.name) + ", ";
  columns += unrepresentable_column;
  // A row that moves to another place of the table is deleted there and inserted here with one version: in this order.
  std::string rows = fmt::format(
      "SELECT *, min({0}) OVER (PARTITION BY {1} ORDER BY {2}, {3} DESC ROWS BETWEEN CURRENT ROW AND UNBOUNDED "
      "FOLLOWING) "
      "AS _from FROM {4} FINAL WHERE {5} = {6}",
      written_column, key_column, version_column, deleted_column,
      qualified_name(layout.tables, history_name(table.name)), client_id_column, quote_text(client.value));
  if (!table.options.ttl_column.empty()) rows += fmt::format(" AND {} > now()", ttl_sql(table));
  std::string select = fmt::format(
      "SELECT {0}, _from AS valid_from, _to AS valid_to FROM (SELECT *, leadInFrame(toNullable(_from)) OVER (PARTITION "
      "BY "
      "{1} ORDER BY {2}, {3} DESC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS _to FROM ({4})) WHERE "
      "{3} = "
      "0 AND (_to IS NULL OR _to > _from)",
      columns, key_column, version_column, deleted_column, rows);
  std::string comment = read_view_comment(layout, select, existing);
  return {fmt::format("CREATE OR REPLACE VIEW {}{} AS {} COMMENT {}",
                      qualified_name(layout.client_database(client), table.read_name() + history_suffix),
                      on_cluster(layout), select, quote_text(comment)),
          comment};
}

}  // namespace tributary
