#include "store/clickhouse/table_ddl.h"

#include <gtest/gtest.h>

#include "base/clickhouse_tokens.h"
#include "engine/temporary_engine.h"
#include "store/clickhouse/database_owner.h"
#include "store/clickhouse/http_client.h"

namespace tributary {
namespace {

// docs/formats/analytics-table.md. Tables that were made once stay as they are: another layout needs a way from this one.
TEST(TableDdl, TheTablesLayoutStays) {
  TableDefinition table{.name = "sales@3",
                        .columns = {{"id", {TypeId::kInt64}, false}, {"total", {TypeId::kDecimal, 12, 2}, true}},
                        .order_by = {"id"}};
  auto change = plan_table({}, table, {});
  ASSERT_TRUE(change.ok()) << change.error().to_string();
  ASSERT_EQ(change->statements.size(), 1U);
  EXPECT_EQ(change->statements[0],
            "CREATE TABLE IF NOT EXISTS `_tributary`.`sales@3` (`client_id` LowCardinality(String), `id` Int64, "
            "`total` Nullable(Decimal(12, 2)), `_key` String, `_version` UInt256, `_deleted` UInt8, "
            "`_unrepresentable` Map(LowCardinality(String), String)) ENGINE = ReplacingMergeTree(_version, _deleted) "
            "ORDER BY (`client_id`, `id`, `_key`) SETTINGS allow_nullable_key = 1, fsync_after_insert = 1, "
            "fsync_part_directory = 1");
  change = plan_table({.deduplication_window = 100}, table, {});
  ASSERT_TRUE(change.ok());
  EXPECT_TRUE(change->statements[0].ends_with(", non_replicated_deduplication_window = 100"));
}

TEST(TableDdl, WhatSomebodyElseMadeIsNotTouched) {
  DatabaseLayout layout{.tables = "analytics", .clients_prefix = "analytics_"};
  TableDefinition table{.name = "sales", .columns = {{"id", {TypeId::kInt64}, false}}, .order_by = {"id"}};
  auto theirs = plan_table(layout, table, {.columns = {{"id", "Int64"}}, .sorting_key = {"id"}});
  ASSERT_FALSE(theirs.ok());
  EXPECT_NE(theirs.error().message.find("analytics has something else of this name"), std::string::npos);

  // Two databases' clients may share a database: shop + eu_x, shop_eu + x.
  std::string ours = read_view(layout, table, {}, ClientId("acme")).comment;
  EXPECT_TRUE(is_read_view(layout, ours));
  EXPECT_FALSE(is_read_view({.tables = "analytics_2"}, ours));
  EXPECT_FALSE(is_read_view({.tables = "analytic"}, ours));
  for (const char* comment : {"", "tributary", "tributary 0123456789abcdef", "my own view"})
    EXPECT_FALSE(is_read_view(layout, comment)) << comment;
}

TEST(DatabaseOwner, IsWhoMarkedItFirst) {
  DatabaseLayout layout{.tables = "analytics", .clients_prefix = "analytics_", .owner = "0123"};
  EXPECT_EQ(
      claim_sql(layout),
      "CREATE TABLE IF NOT EXISTS `analytics`.` owner` (nothing UInt8) ENGINE = Null COMMENT 'tributary owner 0123'");
  std::string mark = "tributary owner 0123";
  mark.insert(0, 1, static_cast<char>(mark.size()));
  EXPECT_TRUE(check_owner(layout, "").ok());
  EXPECT_TRUE(check_owner(layout, mark).ok());
  layout.owner = "4567";
  Status other = check_owner(layout, mark);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::kAlreadyExists);
  layout.owner = "012";
  EXPECT_FALSE(check_owner(layout, mark).ok());
}

// Also checked by ClickHouse's own parser, which no cluster is needed for.
TEST(TableDdl, OnAClusterTablesAreReplicated) {
  DatabaseLayout layout{.tables = "analytics", .clients_prefix = "analytics_", .cluster = "it's"};
  TableDefinition table{.name = "sales", .columns = {{"id", {TypeId::kInt64}, false}}, .order_by = {"id"}};
  ExistingTable old{.columns = {{"client_id", "LowCardinality(String)"},
                                {"id", "Int32"},
                                {"_key", "String"},
                                {"_version", "UInt256"}},
                    .sorting_key = {"client_id", "id", "_key"}};
  auto made = plan_table(layout, table, {});
  auto rebuilt = plan_table(layout, table, old);
  ASSERT_TRUE(made.ok() && rebuilt.ok());
  EXPECT_TRUE(rebuilt->rebuild);
  std::vector<std::string> all = made->statements;
  all.insert(all.end(), rebuilt->statements.begin(), rebuilt->statements.end());
  all.push_back(create_database_sql(layout, "analytics_acme"));
  all.push_back(read_view(layout, table, old, ClientId("acme")).sql);
  EXPECT_EQ(read_view(layout, table, old, ClientId("acme")).sql.substr(0, 67),
            R"(CREATE OR REPLACE VIEW `analytics_acme`.`sales` ON CLUSTER 'it\'s' )");
  ClickHouseHttp http({.socket = TemporaryEngine::shared().socket()});
  for (const std::string& sql : all) {
    auto parsed = http.read({.sql = "SELECT formatQuery(" + quote_text(sql) + ")"});
    EXPECT_TRUE(parsed.ok()) << sql << "\n" << parsed.error().to_string();
    EXPECT_EQ(sql.find(" ON CLUSTER 'it\\'s'") != std::string::npos, !sql.starts_with("INSERT")) << sql;
    if (!sql.starts_with("CREATE TABLE")) continue;
    EXPECT_NE(sql.find("ENGINE = ReplicatedReplacingMergeTree(_version, _deleted)"), std::string::npos) << sql;
  }
  layout = {.tables = "analytics", .replicated = true};
  made = plan_table(layout, table, {});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->statements[0].find("CLUSTER"), std::string::npos);
  EXPECT_NE(made->statements[0].find("ReplicatedReplacingMergeTree"), std::string::npos);
}

}  // namespace
}  // namespace tributary
