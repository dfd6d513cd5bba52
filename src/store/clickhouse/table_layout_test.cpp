// Overrides of a view's table, against the engine.
#include "store/clickhouse/table_layout.h"

#include <gtest/gtest.h>

#include "engine/temporary_engine.h"
#include "store/clickhouse/clickhouse_store.h"

namespace tributary {
namespace {

const ClientId acme{"acme"};

TableDefinition daily_table(TableOptions options) {
  return {.name = "daily",
          .columns = {{"day", {TypeId::kDate}, false}, {"orders", {TypeId::kInt64}, true}},
          .order_by = {"day"},
          .options = std::move(options)};
}

TEST(TableLayout, TheCommentTellsTheOptions) {
  TableOptions options{.partition_by = "(toYYYYMM(day), `a b`)",
                       .ttl_column = "my day",
                       .ttl = std::chrono::hours(24),
                       .settings = {{"a", "1"}, {"b", "x y 'z'"}}};
  EXPECT_EQ(layout_of(layout_comment(options)), options);
  EXPECT_EQ(layout_comment({}), "");
  EXPECT_EQ(layout_of("somebody's table"), TableOptions{});
}

class TableLayoutTest : public testing::Test {
 protected:
  ClickHouseStore store_{{.socket = TemporaryEngine::shared().socket()}};

  void TearDown() override { ASSERT_TRUE(store_.drop("daily").ok()); }

  void prepare(TableOptions options) {
    TableDefinition table = daily_table(std::move(options));
    Status status = store_.prepare({&table, 1}, {&acme, 1});
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
  void put(std::vector<std::pair<int32_t, int64_t>> rows, uint64_t version, bool deleted = false) {
    OutputBatch batch{.clients = {acme}};
    batch.columns.emplace_back(LogicalType{TypeId::kDate});
    batch.columns.emplace_back(LogicalType{TypeId::kInt64});
    for (auto [day, orders] : rows) {
      batch.client_of_row.push_back(0);
      batch.columns[0].append_fixed<int32_t>(day);
      batch.columns[1].append_fixed<int64_t>(orders);
      batch.keys.push_back(fmt::format("k{:08}", day + 1'000'000));
      batch.versions.push_back(Version::of_checkpoint(0, version));
      batch.deleted.push_back(deleted ? 1 : 0);
    }
    auto encoded = store_.encode(daily_table({}), batch);
    ASSERT_TRUE(encoded.ok());
    std::string_view piece = *encoded;
    Status status = store_.insert("daily", {&piece, 1});
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
  std::string ask(const std::string& sql) {
    auto got = store_.execute(sql, "TabSeparatedRaw");
    return got.ok() ? *got : got.error().to_string();
  }
  std::string of_table(const std::string& what) {
    return ask("SELECT " + what + " FROM system.tables WHERE database = '_tributary' AND name = 'daily'");
  }
  std::string shown() { return ask("SELECT toInt32(day), orders FROM acme.daily ORDER BY day"); }
};

TEST_F(TableLayoutTest, OptionsTakeEffectAndChange) {
  prepare({});
  put({{19000, 1}, {19500, 2}}, 1);
  prepare({.settings = {{"merge_with_ttl_timeout", "60"}}});
  EXPECT_NE(of_table("engine_full").find("merge_with_ttl_timeout = '60'"), std::string::npos)
      << of_table("engine_full");
  prepare({.partition_by = "toYYYYMM(day)", .settings = {{"index_granularity", "1024"}}});
  EXPECT_EQ(of_table("partition_key"), "toYYYYMM(day)\n");
  EXPECT_NE(of_table("engine_full").find("index_granularity = '1024'"), std::string::npos) << of_table("engine_full");
  EXPECT_EQ(of_table("engine_full").find("merge_with_ttl_timeout"), std::string::npos);
  std::string made = of_table("uuid");
  prepare({.partition_by = "toYYYYMM(day)", .settings = {{"index_granularity", "1024"}}});
  EXPECT_EQ(of_table("uuid"), made);  // nothing changed
  put({{19000, 5}}, 2);
  put({{19500, 0}}, 3, true);
  EXPECT_EQ(shown(), "19000\t5\n");
  // More partitions than ClickHouse takes in one INSERT by itself.
  std::vector<std::pair<int32_t, int64_t>> years;
  for (int32_t i = 0; i < 150; ++i) years.emplace_back(i * 31, 7);
  put(years, 4);
  EXPECT_EQ(ask("SELECT count() FROM acme.daily"), "151\n");
}

// Days are counted from 1970: 0 never expires, 1900-01-01 has, and 2299-12-31 has not, though a DateTime ends in 2106.
TEST_F(TableLayoutTest, RowsExpireByTheirKeysTime) {
  prepare({});
  put({{-25567, 1}, {0, 2}, {19000, 3}, {60000, 4}, {120529, 5}}, 1);
  prepare({.ttl_column = "day", .ttl = std::chrono::hours(24 * 30)});
  EXPECT_EQ(shown(), "0\t2\n60000\t4\n120529\t5\n");
  EXPECT_EQ(ask("SELECT count() FROM _tributary.daily"), "3\n");  // gone from the disk as well
  put({{19000, 4}}, 2);  // a late one
  EXPECT_EQ(shown(), "0\t2\n60000\t4\n120529\t5\n");
  prepare({.ttl_column = "day", .ttl = std::chrono::hours(24 * 30'000)});
  put({{19000, 5}}, 3);
  EXPECT_EQ(shown(), "0\t2\n19000\t5\n60000\t4\n120529\t5\n");
  prepare({});
  EXPECT_EQ(of_table("engine_full").find("TTL"), std::string::npos);
  put({{19001, 5}}, 3);
  EXPECT_EQ(ask("SELECT count() FROM acme.daily"), "5\n");
}

}  // namespace
}  // namespace tributary
