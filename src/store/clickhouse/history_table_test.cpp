// Every version of a view's rows, against the engine.
#include "store/clickhouse/history_table.h"

#include <gtest/gtest.h>

#include "base/clickhouse_tokens.h"
#include "engine/temporary_engine.h"
#include "store/clickhouse/clickhouse_store.h"

namespace tributary {
namespace {

const ClientId acme{"acme"};

struct Row {
  int32_t id = 0;
  std::string state;
  uint64_t version = 1;
  bool deleted = false;
};

class HistoryTest : public testing::Test {
 protected:
  ClickHouseStore store_{{.socket = TemporaryEngine::shared().socket()}};
  TableDefinition table_{.name = "told@2",
                         .columns = {{"id", {TypeId::kInt32}, false}, {"state", {TypeId::kText}, true}},
                         .order_by = {"id"},
                         .options = {.history = true}};

  void TearDown() override {
    ASSERT_TRUE(store_.drop(table_.name).ok());
    EXPECT_EQ(ask("SELECT count() FROM system.tables WHERE database = '_tributary' AND name LIKE '%told%'"), "0\n");
  }
  void prepare() {
    Status status = store_.prepare({&table_, 1}, {&acme, 1});
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
  // Returns the server's time after it: what was written before is what a reader sees then.
  std::string put(const std::vector<Row>& rows) {
    OutputBatch batch{.clients = {acme}};
    batch.columns.emplace_back(LogicalType{TypeId::kInt32});
    batch.columns.emplace_back(LogicalType{TypeId::kText});
    for (const Row& row : rows) {
      batch.client_of_row.push_back(0);
      batch.columns[0].append_fixed<int32_t>(row.id);
      batch.columns[1].append_bytes(row.state);
      batch.keys.push_back("k");  // one row, which may move to another id
      batch.versions.push_back(Version::of_checkpoint(0, row.version));
      batch.deleted.push_back(row.deleted ? 1 : 0);
    }
    auto encoded = store_.encode(table_, batch);
    CHECK(encoded.ok());
    std::string_view piece = *encoded;
    Status status = store_.insert(table_.name, {&piece, 1});
    CHECK(status.ok(), "{}", status.error().to_string());
    return now();
  }
  std::string now() {
    std::string text = ask("SELECT now64(6, 'UTC')");
    text.pop_back();
    return text;
  }
  std::string ask(const std::string& sql) {
    auto got = store_.execute(sql, "TabSeparatedRaw");
    return got.ok() ? *got : got.error().to_string();
  }
  std::string shown() { return ask("SELECT id, state FROM acme.told ORDER BY id"); }
  std::string at(const std::string& time) {
    return ask(
        fmt::format("SELECT id, state FROM acme.told_history WHERE valid_from <= '{0}' AND (valid_to > '{0}' OR "
                    "valid_to IS NULL) ORDER BY id",
                    time));
  }
  std::string intervals() {
    return ask("SELECT id, state, valid_to IS NULL FROM acme.told_history ORDER BY valid_from, id");
  }
};

// What the view showed at any time is in the history: late, repeated, deleted and moved versions, merged or not.
TEST_F(HistoryTest, SaysWhatTheViewShowedAtAnyTime) {
  prepare();
  std::vector<std::pair<std::string, std::string>> seen;  // time → what was shown
  seen.emplace_back(now(), shown());
  auto step = [&](const std::vector<Row>& rows) {
    std::string time = put(rows);
    seen.emplace_back(time, shown());
  };
  step({{.id = 1, .state = "new", .version = 10}});
  step({{.id = 1, .state = "paid", .version = 20}});
  step({{.id = 1, .state = "late", .version = 15}});
  step({{.id = 1, .state = "new", .version = 10}, {.id = 1, .state = "paid", .version = 20}});  // again
  step({{.id = 1, .state = "paid", .version = 30, .deleted = true}});
  step({{.id = 1, .state = "back", .version = 40}});
  step({{.id = 1, .state = "back", .version = 50, .deleted = true}, {.id = 2, .state = "moved", .version = 50}});
  ASSERT_TRUE(store_.withdraw({table_.name, acme, Version::of_checkpoint(0, 60), "", ""}).ok());
  seen.emplace_back(now(), shown());
  step({{.id = 2, .state = "after all", .version = 70}});
  EXPECT_EQ(intervals(), "1\tnew\t0\n1\tpaid\t0\n1\tback\t0\n2\tmoved\t0\n2\tafter all\t1\n");
  for (int merged = 0; merged < 2; ++merged) {
    for (const auto& [time, rows] : seen) EXPECT_EQ(at(time), rows) << time;
    ask("OPTIMIZE TABLE _tributary.`told@2 history` FINAL");
  }
}

TEST_F(HistoryTest, BeginsWithTheRowsThatThereAreAndFollowsTheColumns) {
  table_.options.history = false;
  prepare();
  put({{.id = 1, .state = "old", .version = 1}});
  put({{.id = 1, .state = "before", .version = 2}});
  table_.options.history = true;
  prepare();
  EXPECT_EQ(intervals(), "1\tbefore\t1\n");
  put({{.id = 1, .state = "since", .version = 3}});
  table_.columns.push_back({"total", {TypeId::kInt64}, true});
  table_.columns[0].type = {TypeId::kInt64};  // of the sorting key: both tables are made anew
  prepare();
  EXPECT_EQ(intervals(), "1\tbefore\t0\n1\tsince\t1\n");
  EXPECT_EQ(ask("SELECT total FROM acme.told_history LIMIT 1"), "\\N\n");
  ASSERT_TRUE(store_.withdraw({table_.name, acme, Version::of_checkpoint(0, 9), "", ""}).ok());
  EXPECT_EQ(intervals(), "1\tbefore\t0\n1\tsince\t0\n");
  table_.options.history = false;
  prepare();
  EXPECT_EQ(ask("EXISTS acme.told_history"), "0\n");  // it would not be told any more
  EXPECT_EQ(ask("SELECT count() > 0 FROM _tributary.`told@2 history`"), "1\n");
}

}  // namespace
}  // namespace tributary
