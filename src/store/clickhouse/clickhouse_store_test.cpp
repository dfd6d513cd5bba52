// The sink against the real engine: what an acknowledged INSERT means, which version wins, what prepare() makes of a
// table that is there.
#include "store/clickhouse/clickhouse_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "engine/temporary_engine.h"
#include "store/clickhouse/native_encoder.h"

namespace tributary {
namespace {

const ClientId acme{"acme"};
const ClientId beta{"beta"};

TableDefinition orders_table(const std::string& name) {
  return {
      .name = name, .columns = {{"id", {TypeId::kInt32}, false}, {"note", {TypeId::kText}, true}}, .order_by = {"id"}};
}

struct Row {
  ClientId client = acme;
  int32_t id = 0;
  std::string note;
  uint64_t version = 1;
  bool deleted = false;
};

OutputBatch batch_of(const std::vector<Row>& rows) {
  OutputBatch batch{.clients = {acme, beta}};
  batch.columns.emplace_back(LogicalType{TypeId::kInt32});
  batch.columns.emplace_back(LogicalType{TypeId::kText});
  for (const Row& row : rows) {
    batch.client_of_row.push_back(row.client == acme ? 0 : 1);
    batch.columns[0].append_fixed<int32_t>(row.id);
    if (row.deleted) {
      batch.columns[1].append_null();
    } else {
      batch.columns[1].append_bytes(row.note);
    }
    batch.keys.push_back(fmt::format("k{:08}", row.id));
    batch.versions.push_back(Version::of_checkpoint(0, row.version));
    batch.deleted.push_back(row.deleted ? 1 : 0);
  }
  return batch;
}

class ClickHouseStoreTest : public testing::Test {
 protected:
  // A table of its own for each test.
  std::string name_ = testing::UnitTest::GetInstance()->current_test_info()->name();
  TableDefinition table_ = orders_table(name_);
  ClickHouseStore store_{{.socket = TemporaryEngine::shared().socket()}};
  std::vector<ClientId> clients_ = {acme, beta};

  void prepare() {
    Status status = store_.prepare({&table_, 1}, clients_);
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
  Status insert(const std::vector<Row>& rows) {
    auto encoded = store_.encode(orders_table(name_), batch_of(rows));
    CHECK(encoded.ok());
    std::string_view piece = *encoded;
    return store_.insert(name_, {&piece, 1});
  }
  void put(const std::vector<Row>& rows) {
    Status status = insert(rows);
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
  std::string ask(const std::string& sql) {
    auto got = store_.execute(sql, "TabSeparatedRaw");
    return got.ok() ? *got : got.error().to_string();
  }
  // What acme's read view shows.
  std::string shown(const std::string& columns = "id, note") {
    return ask(fmt::format("SELECT {} FROM acme.{} ORDER BY id", columns, name_));
  }
  void withdraw(uint64_t below, const std::string& low = "", const std::string& high = "") {
    Status status = store_.withdraw({name_, acme, Version::of_checkpoint(0, below), low, high});
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
};

TEST_F(ClickHouseStoreTest, NewestVersionWinsWhateverTheOrder) {
  prepare();
  put({{.id = 1, .note = "new", .version = 5}});
  put({{.id = 1, .note = "old", .version = 4}});
  EXPECT_EQ(shown(), "1\tnew\n");
  put({{.id = 1, .note = "new", .version = 5}});  // a retry
  EXPECT_EQ(shown(), "1\tnew\n");
  ask(fmt::format("OPTIMIZE TABLE _tributary.{} FINAL", name_));  // merged, it is the same
  EXPECT_EQ(shown(), "1\tnew\n");
  put({{.id = 1, .note = "old", .version = 4}, {.id = 1, .note = "newest", .version = 6}});
  EXPECT_EQ(shown(), "1\tnewest\n");
}

TEST_F(ClickHouseStoreTest, ATablesMarkTellsItsColumnsAndThoseOfItsHistory) {
  table_.options.history = true;
  prepare();
  auto columns = [&] { return store_.marks().value().at(name_).columns; };
  EXPECT_TRUE(columns().contains("note"));
  EXPECT_TRUE(columns().contains("_historynote"));
  ask(fmt::format("ALTER TABLE _tributary.{} DROP COLUMN note", name_));
  EXPECT_FALSE(columns().contains("note"));
  EXPECT_TRUE(columns().contains("_historynote"));
  ask(fmt::format("ALTER TABLE _tributary.`{} history` DROP COLUMN note", name_));
  EXPECT_FALSE(columns().contains("_historynote"));
}

TEST_F(ClickHouseStoreTest, ATablesMarkRisesWithWhatIsWrittenAndFallsOnlyWhereThatIsLost) {
  auto mark = [&] { return store_.marks().value().at(name_); };
  prepare();
  TableMark empty = mark();
  put({{.id = 1, .note = "a"}});
  put({{.id = 2, .note = "b"}});
  TableMark two = mark();
  EXPECT_EQ(two.identity, empty.identity);
  EXPECT_GT(two.written, empty.written);
  ask(fmt::format("OPTIMIZE TABLE _tributary.{} FINAL", name_));
  EXPECT_EQ(mark(), two);
  put({{.id = 1, .note = "c", .version = 9}});
  EXPECT_GT(mark().written, two.written);
  ASSERT_TRUE(store_.drop(name_).ok());
  EXPECT_FALSE(store_.marks().value().contains(name_));
  prepare();
  EXPECT_NE(mark().identity, two.identity);
}

// A retry is known by its token: it makes no rows that a merge would have to take out again.
TEST_F(ClickHouseStoreTest, TheSameBatchTwiceIsStoredOnceOnAServer) {
  ClickHouseStore server({.socket = TemporaryEngine::shared().socket()}, {.deduplication_window = 100});
  ASSERT_TRUE(server.prepare({&table_, 1}, clients_).ok());
  put({{.id = 1, .note = "a"}, {.id = 2, .note = "b"}});
  put({{.id = 1, .note = "a"}, {.id = 2, .note = "b"}});
  EXPECT_EQ(ask(fmt::format("SELECT count() FROM _tributary.{}", name_)), "2\n");
  put({{.id = 1, .note = "a"}});
  EXPECT_EQ(ask(fmt::format("SELECT count() FROM _tributary.{}", name_)), "3\n");
  EXPECT_EQ(shown(), "1\ta\n2\tb\n");
}

TEST_F(ClickHouseStoreTest, CompressedDataArrives) {
  prepare();
  std::vector<Row> rows;
  for (int i = 0; i < 200'000; ++i) rows.push_back({.id = i, .note = std::to_string(i * 2654435761U)});
  std::string encoded = *store_.encode(table_, batch_of(rows));
  std::string few = *store_.encode(table_, batch_of({{.id = -1, .note = "few"}}));
  uint64_t times = 0;
  for (HttpCompression compression : {HttpCompression::kLz4, HttpCompression::kZstd}) {
    ClickHouseStore store({.socket = TemporaryEngine::shared().socket(), .compression = compression});
    std::string_view pieces[] = {encoded, few};
    Status status = store.insert(name_, pieces);
    ASSERT_TRUE(status.ok()) << status.error().to_string();
    ++times;
    EXPECT_EQ(ask(fmt::format("SELECT count(), sum(id), uniqExact(note) FROM _tributary.{}", name_)),
              fmt::format("{}\t{}\t200001\n", times * 200'001, times * (uint64_t{199'999} * 100'000 - 1)));
  }
}

// Any order, any split into INSERTs, any repetition, merged or not: the newest of each key, if it is no deletion.
TEST_F(ClickHouseStoreTest, AnyHistoryConverges) {
  prepare();
  uint32_t seed = 20241123;
  std::mt19937 random(seed);
  std::map<int, Row> newest;
  std::vector<Row> history;
  for (int i = 0; i < 3000; ++i) {
    Row row{.id = static_cast<int32_t>(random() % 50),
            .note = std::to_string(i),
            .version = random() % 1'000'000 * 4000 + i};
    row.deleted = random() % 4 == 0;
    history.push_back(row);
    auto at = newest.find(row.id);
    if (at == newest.end() || at->second.version < row.version) newest.insert_or_assign(row.id, row);
  }
  for (int i = 0; i < 500; ++i) history.push_back(history[random() % 3000]);
  std::shuffle(history.begin(), history.end(), random);
  for (size_t begin = 0; begin < history.size();) {
    size_t end = std::min(history.size(), begin + 1 + random() % 200);
    put({history.begin() + static_cast<long>(begin), history.begin() + static_cast<long>(end)});
    begin = end;
  }
  std::string expected;
  for (const auto& [id, row] : newest) {
    if (!row.deleted) expected += fmt::format("{}\t{}\n", id, row.note);
  }
  EXPECT_EQ(shown(), expected) << "seed " << seed;
  ask(fmt::format("OPTIMIZE TABLE _tributary.{} FINAL", name_));
  EXPECT_EQ(shown(), expected) << "merged, seed " << seed;
  put(history);  // all in one part, which FINAL must not take for free of repetitions
  EXPECT_EQ(shown(), expected) << "repeated, seed " << seed;
}

// One part alone, never merged, with every version of a key in it.
TEST_F(ClickHouseStoreTest, OnePartOfManyVersions) {
  prepare();
  put({{.id = 1, .note = "b", .version = 2},
       {.id = 1, .note = "a", .version = 1},
       {.id = 2, .note = "x", .version = 1},
       {.id = 2, .version = 2, .deleted = true},
       {.id = 1, .note = "c", .version = 3}});
  EXPECT_EQ(shown(), "1\tc\n");
  EXPECT_EQ(ask(fmt::format("SELECT count() FROM acme.{}", name_)), "1\n");
}

TEST_F(ClickHouseStoreTest, DeletedRowsAreGoneAndLateOnesStayGone) {
  prepare();
  put({{.id = 1, .note = "a", .version = 5}, {.id = 2, .note = "b", .version = 5}});
  put({{.id = 1, .version = 6, .deleted = true}});
  EXPECT_EQ(shown(), "2\tb\n");
  EXPECT_EQ(ask(fmt::format("SELECT count() FROM acme.{0}", name_)), "1\n");
  put({{.id = 1, .note = "late", .version = 5}});
  EXPECT_EQ(shown(), "2\tb\n");
  // A merge must keep the tombstone, or a late write would bring the row back.
  ask(fmt::format("OPTIMIZE TABLE _tributary.{} FINAL", name_));
  put({{.id = 1, .note = "later", .version = 4}});
  EXPECT_EQ(shown(), "2\tb\n");
  put({{.id = 1, .note = "again", .version = 7}});
  EXPECT_EQ(shown(), "1\tagain\n2\tb\n");
}

TEST_F(ClickHouseStoreTest, VersionsCompareAs256Bits) {
  prepare();
  OutputBatch batch = batch_of({{.id = 1, .note = "low"}, {.id = 1, .note = "high"}});
  Position low{.epoch = 1, .commit = UINT64_MAX, .change = UINT64_MAX, .ordinal = UINT32_MAX};
  Position high{.epoch = 2};
  batch.versions = {Version::of_row(low, UINT32_MAX, UINT32_MAX), Version::of_row(high, 0, 0)};
  auto encoded = store_.encode(table_, batch);
  std::string_view piece = *encoded;
  ASSERT_TRUE(store_.insert(name_, {&piece, 1}).ok());
  EXPECT_EQ(shown(), "1\thigh\n");
  EXPECT_EQ(ask(fmt::format("SELECT _version FROM _tributary.{} FINAL", name_)), batch.versions[1].to_decimal() + "\n");
}

TEST_F(ClickHouseStoreTest, ClientsSeeTheirOwnRowsOnly) {
  prepare();
  put({{.client = acme, .id = 1, .note = "a"},
       {.client = beta, .id = 1, .note = "b"},
       {.client = beta, .id = 2, .note = "b"}});
  EXPECT_EQ(shown(), "1\ta\n");
  EXPECT_EQ(ask(fmt::format("SELECT count() FROM beta.{}", name_)), "2\n");
  EXPECT_EQ(*store_.count_rows(name_, beta), 2U);
  EXPECT_EQ(
      ask(fmt::format("SELECT groupArray(name) FROM system.columns WHERE database = 'acme' AND table = '{}'", name_)),
      "['id','note','_unrepresentable']\n");
}

TEST_F(ClickHouseStoreTest, ATableTakesTheViewsWithItThatReadIt) {
  prepare();
  auto views = [&] { return ask(fmt::format("SELECT count() FROM system.tables WHERE name = '{}'", name_)); };
  EXPECT_EQ(views(), "3\n");  // the table, and one view a client
  ASSERT_TRUE(store_.drop(name_ + "@2").ok());
  EXPECT_EQ(views(), "3\n");
  ASSERT_TRUE(store_.drop(name_).ok());
  EXPECT_EQ(views(), "0\n");
}

TEST_F(ClickHouseStoreTest, WithdrawTakesWhatIsOlderAndNothingElse) {
  prepare();
  put({{.id = 1, .note = "below", .version = 9},
       {.id = 2, .note = "at", .version = 10},
       {.id = 3, .note = "above", .version = 11},
       {.client = beta, .id = 1, .note = "other client", .version = 1}});
  withdraw(10);
  EXPECT_EQ(shown(), "2\tat\n3\tabove\n");
  // Of exactly that version: one that comes in the same moment as a row of version 10 must not hide it.
  EXPECT_EQ(ask(fmt::format("SELECT _version + 1 = toUInt256('{}') FROM _tributary.{} WHERE _deleted = 1",
                            Version::of_checkpoint(0, 10).to_decimal(), name_)),
            "1\n");
  withdraw(10);
  EXPECT_EQ(shown(), "2\tat\n3\tabove\n");
  EXPECT_EQ(*store_.count_rows(name_, beta), 1U);
  put({{.id = 1, .note = "late", .version = 9}});  // nothing says when a retry comes: the tombstone is newer
  EXPECT_EQ(shown(), "2\tat\n3\tabove\n") << "a retried older row came back";
  put({{.id = 1, .note = "at", .version = 10}});
  EXPECT_EQ(shown(), "1\tat\n2\tat\n3\tabove\n");
}

TEST_F(ClickHouseStoreTest, WithdrawTakesAKeyRangeOfAnyBytes) {
  prepare();
  OutputBatch batch =
      batch_of({{.id = 1, .note = "1"}, {.id = 2, .note = "2"}, {.id = 3, .note = "3"}, {.id = 4, .note = "4"}});
  batch.keys = {std::string("\x00", 1), std::string("\x01'\\", 3), std::string("\x01\xff", 2),
                std::string("\xff\x00", 2)};
  auto encoded = store_.encode(table_, batch);
  std::string_view piece = *encoded;
  ASSERT_TRUE(store_.insert(name_, {&piece, 1}).ok());
  withdraw(100, batch.keys[1], batch.keys[2]);
  EXPECT_EQ(shown("id"), "1\n3\n4\n");
  withdraw(100, batch.keys[3]);
  EXPECT_EQ(shown("id"), "1\n3\n");
  withdraw(100);
  EXPECT_EQ(shown("id"), "");
  withdraw(0);
}

TEST_F(ClickHouseStoreTest, PrepareTwiceChangesNothing) {
  prepare();
  put({{.id = 1, .note = "a"}});
  std::string metadata =
      "SELECT groupArray((database, name, metadata_modification_time)) FROM system.tables "
      "WHERE name = '" +
      name_ + "'";
  std::string before = ask(metadata);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // the time of a change is in seconds
  prepare();
  EXPECT_EQ(ask(metadata), before);
  EXPECT_EQ(shown(), "1\ta\n");
}

TEST_F(ClickHouseStoreTest, ColumnsAreAddedWidenedAndLeftOut) {
  prepare();
  put({{.id = 1, .note = "a"}});
  auto old_bytes = store_.encode(orders_table(name_), batch_of({{.id = 2, .note = "before"}}));

  table_.columns.push_back({"total", {TypeId::kInt16}, true});
  prepare();
  EXPECT_EQ(shown("id, note, total"), "1\ta\t\\N\n");
  table_.columns[2].type = {TypeId::kInt64};
  prepare();
  table_.columns[2].type = {TypeId::kInt32};  // narrower than what is there: stays
  prepare();
  EXPECT_EQ(
      ask(fmt::format(
          "SELECT type FROM system.columns WHERE database = '_tributary' AND table = '{}' AND name = 'total'", name_)),
      "Nullable(Int64)\n");
  // Bytes made before the column was there.
  std::string_view piece = *old_bytes;
  ASSERT_TRUE(store_.insert(name_, {&piece, 1}).ok());
  EXPECT_EQ(shown("id, note, total"), "1\ta\t\\N\n2\tbefore\t\\N\n");

  table_.columns.erase(table_.columns.begin() + 1);  // note leaves the plan
  prepare();
  EXPECT_EQ(
      ask(fmt::format("SELECT groupArray(name) FROM system.columns WHERE database = 'acme' AND table = '{}'", name_)),
      "['id','total','_unrepresentable']\n");
  EXPECT_EQ(ask(fmt::format("SELECT note FROM _tributary.{} WHERE id = 1", name_)), "a\n");
}

// A column came and went before the table was made: rows from in between have it.
TEST_F(ClickHouseStoreTest, AColumnThatTheTableNeverHadIsLeftOut) {
  auto old_bytes = store_.encode(orders_table(name_), batch_of({{.id = 2, .note = "meanwhile"}}));
  table_.columns.erase(table_.columns.begin() + 1);
  prepare();
  std::string_view piece = *old_bytes;
  Status inserted = store_.insert(name_, {&piece, 1});
  ASSERT_TRUE(inserted.ok()) << inserted.error().to_string();
  EXPECT_EQ(shown("id"), "2\n");
}

TEST_F(ClickHouseStoreTest, AColumnThatSomebodyDroppedIsMissed) {
  prepare();
  ask(fmt::format("ALTER TABLE _tributary.{} DROP COLUMN note", name_));
  auto bytes = store_.encode(orders_table(name_), batch_of({{.id = 2, .note = "kept"}}));
  std::string_view piece = *bytes;
  EXPECT_FALSE(store_.insert(name_, {&piece, 1}).ok());
}

TEST_F(ClickHouseStoreTest, AWiderKeyColumnRebuildsTheTableWithItsRows) {
  prepare();
  put({{.id = 1, .note = "a", .version = 5}, {.id = 2, .note = "b", .version = 5}});
  put({{.id = 2, .version = 6, .deleted = true}});
  table_.columns[0].type = {TypeId::kInt64};
  prepare();
  EXPECT_EQ(shown(), "1\ta\n");
  EXPECT_EQ(shown("toTypeName(id)"), "Int64\n");
  put({{.id = 1, .note = "late, as Int32", .version = 4}, {.id = 3, .note = "c", .version = 4}});
  EXPECT_EQ(shown(), "1\ta\n3\tc\n");
  table_.order_by = {};  // another order: the same way
  prepare();
  EXPECT_EQ(shown(), "1\ta\n3\tc\n");
  EXPECT_EQ(
      ask(fmt::format("SELECT sorting_key FROM system.tables WHERE database = '_tributary' AND name = '{}'", name_)),
      "client_id, _key\n");
  EXPECT_EQ(ask("SELECT count() FROM system.tables WHERE name LIKE ' rebuild%'"), "0\n");
}

TEST_F(ClickHouseStoreTest, WhatCannotFitIsNamedAndTheRestIsPrepared) {
  prepare();
  std::vector<TableDefinition> tables = {table_, orders_table(name_ + "_other")};
  tables[0].columns[1].type = {TypeId::kInt32};  // text before
  std::vector<ClientId> clients = {acme, ClientId("system")};
  Status status = store_.prepare(tables, clients);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("column note"), std::string::npos) << status.error().message;
  EXPECT_NE(status.error().message.find("client system"), std::string::npos) << status.error().message;
  EXPECT_EQ(ask(fmt::format("SELECT count() FROM acme.{}_other", name_)), "0\n");
  // Its rows are refused, whatever the server would make of them, until it fits.
  auto bytes = store_.encode(table_, batch_of({{.id = 1, .note = "still text"}}));
  std::string_view piece = *bytes;
  status = store_.insert(name_, {&piece, 1});
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("column note"), std::string::npos) << status.error().message;
  prepare();
  put({{.id = 1, .note = "still text"}});
  EXPECT_EQ(shown(), "1\tstill text\n");
}

TEST_F(ClickHouseStoreTest, AnyNameIsQuoted) {
  TableDefinition odd{
      .name = "we`ird \"view\"; -- \\ 'é.x",
      .columns = {{"a`b", {TypeId::kInt32}, false}, {"c'd\\e", {TypeId::kText}, true}, {"from", {TypeId::kText}, true}},
      .order_by = {"a`b"},
      .comment = "it's \\ a 'comment'"};
  for (int i = 0; i < 2; ++i) {
    Status status = store_.prepare({&odd, 1}, clients_);
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }
  OutputBatch batch = batch_of({{.id = 7, .note = "x"}});
  batch.columns.push_back(batch.columns[1]);
  auto encoded = store_.encode(odd, batch);
  ASSERT_TRUE(encoded.ok());
  std::string_view piece = *encoded;
  Status inserted = store_.insert(odd.name, {&piece, 1});
  ASSERT_TRUE(inserted.ok()) << inserted.error().to_string();
  EXPECT_EQ(*store_.count_rows(odd.name, acme), 1U);
  ASSERT_TRUE(store_.withdraw({odd.name, acme, Version::of_checkpoint(0, 9), "", ""}).ok());
  EXPECT_EQ(*store_.count_rows(odd.name, acme), 0U);
}

TEST_F(ClickHouseStoreTest, ManyBatchesOfSeveralShapesInOneCall) {
  prepare();
  std::vector<std::string> encoded;
  for (int i = 0; i < 5; ++i)
    encoded.push_back(*store_.encode(orders_table(name_), batch_of({{.id = i, .note = "x"}})));
  table_.columns.push_back({"more", {TypeId::kText}, true});
  prepare();
  OutputBatch wide = batch_of({{.id = 5, .note = "y"}});
  wide.columns.push_back(wide.columns[1]);
  encoded.insert(encoded.begin() + 2, *store_.encode(table_, wide));
  std::vector<std::string_view> pieces(encoded.begin(), encoded.end());
  ASSERT_TRUE(store_.insert(name_, pieces).ok());
  EXPECT_EQ(ask(fmt::format("SELECT arraySort(groupArray(id)), any(more) FROM acme.{}", name_)), "[0,1,2,3,4,5]\ty\n");
}

TEST_F(ClickHouseStoreTest, ErrorsSayWhatToDo) {
  prepare();
  std::string_view garbage = "\x01garbage";
  EXPECT_EQ(store_.insert(name_, {&garbage, 1}).error().code, ErrorCode::kCorrupt);
  auto encoded = store_.encode(table_, batch_of({{.id = 1}}));
  std::string_view piece = *encoded;
  EXPECT_EQ(store_.insert("no_such_view", {&piece, 1}).error().code, ErrorCode::kNotFound);
  std::string_view cut = std::string_view(*encoded).substr(0, encoded->size() - 3);
  EXPECT_FALSE(store_.insert(name_, {&cut, 1}).ok());
  ClickHouseStore away({.socket = TemporaryEngine::shared().directory() + "/nobody.sock"});
  EXPECT_EQ(away.insert(name_, {&piece, 1}).error().code, ErrorCode::kUnavailable);
  ClickHouseStore nowhere({.url = "http://127.0.0.1:1", .user = "u", .password = "canary-password"});
  Status refused = nowhere.insert(name_, {&piece, 1});
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(refused.error().message.find("canary"), std::string::npos);
}

// Acknowledged rows are there after SIGKILL of the engine in the midst of inserts; what was not acknowledged is sent
// again, and then nothing is there twice.
TEST(ClickHouseCrash, AcknowledgedInsertsSurviveKills) {
  TemporaryEngine engine;
  ClickHouseStore store({.socket = engine.socket()});
  TableDefinition table = orders_table("crash");
  ASSERT_TRUE(store.prepare({&table, 1}, {&acme, 1}).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> acknowledged{0};
  std::atomic<int> failed{0};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      std::vector<Row> rows;
      for (int j = 0; j < 200; ++j)
        rows.push_back({.id = i * 200 + j, .note = "x", .version = static_cast<uint64_t>(i + 1)});
      auto encoded = store.encode(table, batch_of(rows));
      std::string_view piece = *encoded;
      while (true) {
        Status status = store.insert("crash", {&piece, 1});
        if (status.ok()) break;
        ++failed;
        ASSERT_EQ(status.error().code, ErrorCode::kUnavailable) << status.error().to_string();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
      ++acknowledged;
    }
  });
  auto count = [&](const char* what) {
    auto got = store.execute(fmt::format("SELECT {} FROM _tributary.crash FINAL", what));
    return got.ok() ? std::atoi(got->c_str()) : -1;
  };
  std::mt19937 random(20240901);
  for (int kill = 0; kill < 5; ++kill) {
    int before = acknowledged;
    while (acknowledged < before + 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    int safe = acknowledged;
    engine.kill_and_wait();
    int there = count("uniqExact(id)");
    EXPECT_GE(there, safe * 200) << "acknowledged rows are gone after kill " << kill;
  }
  stop = true;
  writer.join();
  EXPECT_GT(failed, 0) << "no kill met an insert";
  EXPECT_EQ(count("count()"), acknowledged * 200);
  EXPECT_EQ(count("uniqExact(id)"), acknowledged * 200);
  engine.restart();
  ClickHouseStore again({.socket = engine.socket()});
  EXPECT_EQ(*again.count_rows("crash", acme), static_cast<uint64_t>(acknowledged * 200));
}

}  // namespace
}  // namespace tributary
