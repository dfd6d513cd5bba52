#include "store/clickhouse/database_owner.h"

#include "base/bytes.h"
#include "base/clickhouse_tokens.h"
#include "store/clickhouse/table_ddl.h"

namespace tributary {
namespace {

constexpr std::string_view mark_prefix = "tributary owner ";

}  // namespace

std::string owner_query(const DatabaseLayout& layout) {
  return fmt::format("SELECT comment FROM system.tables WHERE database = {} AND name = {} FORMAT RowBinary",
                     quote_text(layout.tables), quote_text(owner_table));
}

std::string claim_sql(const DatabaseLayout& layout) {
  return fmt::format("CREATE TABLE IF NOT EXISTS {}{} (nothing UInt8) ENGINE = Null COMMENT {}",
                     qualified_name(layout.tables, owner_table), on_cluster(layout),
                     quote_text(fmt::format("{}{}", mark_prefix, layout.owner)));
}

std::string views_query(const DatabaseLayout& layout) {
  return fmt::format(
      "SELECT count() FROM system.tables WHERE database = {} AND engine = 'View' AND startsWith(comment, {}) FORMAT "
      "TabSeparated",
      quote_text(layout.tables), quote_text(view_comment));
}

std::string run_query(const DatabaseLayout& layout) {
  return fmt::format(
      "SELECT comment FROM system.columns WHERE database = {} AND table = {} AND name = 'nothing' FORMAT "
      "RowBinary",
      quote_text(layout.tables), quote_text(owner_table));
}

std::string run_sql(const DatabaseLayout& layout, const std::string& run) {
  return fmt::format("ALTER TABLE {}{} COMMENT COLUMN nothing {}", qualified_name(layout.tables, owner_table),
                     on_cluster(layout), quote_text(run));
}

Status check_run(const DatabaseLayout& layout, const RunLedger& runs, std::string_view run) {
  if (run.empty()) return {};
  ByteReader reader(run);
  std::string_view seen = reader.string();
  if (seen.empty() || runs.knows(seen)) return {};
  return Error{
      ErrorCode::kAlreadyExists,
      fmt::format(
          "the database {0} of the ClickHouse server has rows of a later run of this data directory, which is an "
          "older copy then: what it writes would hide behind them. Put that database back to the copy's time, too; or "
          "DROP DATABASE {0} on the server: its tables are computed again from raw",
          layout.tables)};
}

Status check_owner(const DatabaseLayout& layout, std::string_view mark) {
  if (mark.empty()) return {};
  ByteReader reader(mark);
  std::string_view text = reader.string();
  if (text == fmt::format("{}{}", mark_prefix, layout.owner)) return {};
  std::string_view owner = text.starts_with(mark_prefix) ? text.substr(mark_prefix.size()) : "one that it does not say";
  return Error{
      ErrorCode::kAlreadyExists,
      fmt::format("the database {0} of the ClickHouse server belongs to another data directory ({1}; ours is "
                  "{2}), whose rows ours would mix with. Write another database in the address; or, where that "
                  "pipeline is given up, DROP DATABASE {0} on the server first",
                  layout.tables, owner, layout.owner.empty() ? "not made yet" : layout.owner)};
}

}  // namespace tributary
