#include "store/clickhouse/table_ddl.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

// docs/formats/analytics-table.md. Tables that were made once stay as they are: another layout needs a way from this one.
TEST(TableDdl, TheTablesLayoutStays) {
  TableDefinition table{.name = "sales@3",
                        .columns = {{"id", {TypeId::kInt64}, false}, {"total", {TypeId::kDecimal, 12, 2}, true}},
                        .order_by = {"id"}};
  auto change = plan_table(table, {});
  ASSERT_TRUE(change.ok()) << change.error().to_string();
  ASSERT_EQ(change->statements.size(), 1U);
  EXPECT_EQ(change->statements[0],
            "CREATE TABLE IF NOT EXISTS `_tributary`.`sales@3` (`client_id` LowCardinality(String), `id` Int64, "
            "`total` Nullable(Decimal(12, 2)), `_key` String, `_version` UInt256, `_deleted` UInt8, "
            "`_unrepresentable` Map(LowCardinality(String), String)) ENGINE = ReplacingMergeTree(_version, _deleted) "
            "ORDER BY (`client_id`, `id`, `_key`) SETTINGS allow_nullable_key = 1, fsync_after_insert = 1, "
            "fsync_part_directory = 1");
}

}  // namespace
}  // namespace tributary
