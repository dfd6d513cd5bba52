// Partitions that come and go, whose rows come and go with them in no event.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "capture/postgres/capture_fixture_for_test.h"
#include "capture/postgres/source_state.h"
#include "capture/postgres/table_catalog.h"

namespace tributary {
namespace {

class PartitionsTest : public CaptureFixture {
 public:
  void SetUp() override {
    CaptureFixture::SetUp();
    for (const char* name : {"orders", "archive"}) {
      sql->run(
          fmt::format("CREATE TABLE {0} (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); "
                      "CREATE TABLE {0}_1 PARTITION OF {0} FOR VALUES FROM (100) TO (200)",
                      name));
      insert(name, 1, 500, 100);
    }
    sql->run("CREATE TABLE moving PARTITION OF orders FOR VALUES FROM (200) TO (300)");
    insert("orders", 1, 500, 200);
    sql->run(fmt::format("ALTER DATABASE {} SET logical_decoding_work_mem = '64kB'", database));
  }
  void insert(const std::string& table, int from, int to, int day) {
    sql->run(fmt::format("INSERT INTO {} SELECT i, {}, 'v' FROM generate_series({}, {}) i", table, day, from, to));
  }
  void expect_all_same() {
    catch_up();
    expect_same("public.orders");
    expect_same("public.archive");
  }
  void run(bool bulk) {
    PostgresCaptureOptions options = defaults();
    options.bulk = bulk;
    options.bulk_backlog_bytes = 1;
    restart({"public.orders", "public.archive"}, options);
  }
  // Runs the statements while it streams, and others while it is stopped.
  void both_ways(const std::function<void(int day)>& change) {
    for (bool bulk : {false, true}) {
      run(bulk);
      expect_all_same();
      change(bulk ? 1000 : 2000);
      expect_all_same();
      ASSERT_FALSE(HasFailure()) << "while it " << (bulk ? "peeked" : "streamed");
      stop();
      change(bulk ? 3000 : 4000);
      run(bulk);
      expect_all_same();
      ASSERT_FALSE(HasFailure()) << "while it was stopped, and then " << (bulk ? "peeked" : "streamed");
    }
  }
  size_t rows_read(const std::string& domain) { return rows_of("acme", domain, Op::kSnapshot); }
  size_t rows_created(const std::string& domain) { return rows_of("acme", domain, Op::kCreate); }
  size_t rows_of(const std::string& name, const std::string& domain, Op op) {
    std::lock_guard lock(log.mutex);
    size_t rows = 0;
    for (const EventBatch& batch : log.batches[name]) {
      if (batch.domain == domain) rows += static_cast<size_t>(std::count(batch.ops.begin(), batch.ops.end(), op));
    }
    return rows;
  }
  std::string attach(const std::string& table, const std::string& partition, int day) {
    return fmt::format("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})", table, partition, day,
                       day + 1);
  }
};

TEST_F(PartitionsTest, OneThatWasMadeFilledAndDroppedLeavesNothing) {
  both_ways([&](int day) {
    sql->run(fmt::format("CREATE TABLE short PARTITION OF orders FOR VALUES FROM ({}) TO ({})", day, day + 1));
    insert("orders", 1, 50, day);
    sql->run("UPDATE orders SET v = 'w' WHERE id % 10 = 0");
    sql->run("DROP TABLE short");
  });
}

TEST_F(PartitionsTest, OneThatWasAttachedChangedAndDetachedLeavesNothing) {
  both_ways([&](int day) {
    sql->run("CREATE TABLE IF NOT EXISTS guest (LIKE orders INCLUDING ALL); DELETE FROM guest");
    insert("guest", 1, 50, day);
    sql->run(attach("orders", "guest", day));
    insert("orders", 51, 80, day);
    sql->run(fmt::format("DELETE FROM orders WHERE id = 60 AND day = {}", day));
    sql->run("ALTER TABLE orders DETACH PARTITION guest");
  });
}

TEST_F(PartitionsTest, OneThatWasInAnotherTableForAWhileLeavesNothingThere) {
  both_ways([&](int day) {
    sql->run(
        "ALTER TABLE orders DETACH PARTITION moving; ALTER TABLE archive ATTACH PARTITION moving FOR VALUES FROM (200) "
        "TO (300)");
    sql->run(fmt::format("UPDATE archive SET v = 'moved {}' WHERE day = 200 AND id % 3 = 0", day));
    insert("archive", day, day + 10, 201);
    sql->run(
        "ALTER TABLE archive DETACH PARTITION moving; ALTER TABLE orders ATTACH PARTITION moving FOR VALUES FROM (200) "
        "TO (300)");
  });
}

TEST_F(PartitionsTest, OneWhoseFirstChangesWereRolledBackIsKnownAllTheSame) {
  both_ways([&](int day) {
    sql->run(fmt::format("CREATE TABLE short PARTITION OF orders FOR VALUES FROM ({}) TO ({})", day, day + 1));
    sql->run("BEGIN; SAVEPOINT s");
    insert("orders", 1, 3000, day);
    sql->run("ROLLBACK TO s");
    insert("orders", 1, 20, day);
    sql->run("COMMIT");
    sql->run("DROP TABLE short");
  });
}

// Each statement, or all of them in one transaction, before anybody looks at the new partition. Each on a table of its own: one that
// is read again would hide what the others lack.
TEST_F(PartitionsTest, WhatANewOneLostUntoldIsLost) {
  const std::string make = "CREATE TABLE $_p PARTITION OF $ FOR VALUES FROM (1000) TO (2000)";
  const std::string attach_it = "ALTER TABLE $ ATTACH PARTITION $_p FOR VALUES FROM (1000) TO (2000)";
  const std::string detach = "ALTER TABLE $ DETACH PARTITION $_p";
  const std::string alone = "CREATE TABLE $_p (LIKE $ INCLUDING ALL)";
  const std::string fill = "INSERT INTO $ SELECT i, 1000, 'v' FROM generate_series(1, 10) i";
  const std::string below = "CREATE TABLE $_l PARTITION OF $_p DEFAULT";
  const std::vector<std::vector<std::string>> sequences = {
      {make, fill, "TRUNCATE $_p"},
      {make, fill, "TRUNCATE $_p", "INSERT INTO $ VALUES (7, 1500, 'again')"},
      {make, fill, detach, "DELETE FROM $_p WHERE id < 6", attach_it},
      {alone, "INSERT INTO $_p VALUES (1, 1100, 'own')", attach_it, fill, detach, "DELETE FROM $_p WHERE id < 6",
       attach_it},
      {alone, attach_it, fill, "TRUNCATE $_p"},
      {make, fill, "ALTER TABLE $_p SET UNLOGGED", "DELETE FROM $_p WHERE id < 6", "ALTER TABLE $_p SET LOGGED"},
      {make + " PARTITION BY RANGE (id)", below, fill, "ALTER TABLE $_p DETACH PARTITION $_l",
       "DELETE FROM $_l WHERE id < 6", "ALTER TABLE $_p ATTACH PARTITION $_l DEFAULT"},
      {make + " PARTITION BY RANGE (id)", below, fill, detach, "DELETE FROM $_l WHERE id < 6", attach_it},
  };
  std::vector<std::string> tables;
  for (size_t i = 0; i < 2 * sequences.size(); ++i) {
    tables.push_back(fmt::format("public.t{}", i));
    sql->run(
        fmt::format("CREATE TABLE t{0} (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); "
                    "CREATE TABLE t{0}_1 PARTITION OF t{0} FOR VALUES FROM (100) TO (200); "
                    "INSERT INTO t{0} VALUES (1, 100, 'v')",
                    i));
  }
  auto run_sequence = [&](const std::string& table, const std::vector<std::string>& sequence, bool at_once) {
    if (at_once) sql->run("BEGIN; SAVEPOINT s");
    for (std::string statement : sequence) {
      for (size_t at; (at = statement.find('$')) != std::string::npos;) statement.replace(at, 1, table);
      sql->run(statement);
    }
    if (at_once) sql->run("COMMIT");
  };
  for (bool bulk : {false, true}) {
    for (bool stopped : {false, true}) {
      for (size_t i = 0; i < tables.size(); ++i) sql->run(fmt::format("DROP TABLE IF EXISTS t{}_p", i));
      PostgresCaptureOptions options = defaults();
      options.bulk = bulk;
      options.bulk_backlog_bytes = 1;
      restart(tables, options);
      catch_up();
      if (stopped) stop();
      for (size_t i = 0; i < tables.size(); ++i) run_sequence(fmt::format("t{}", i), sequences[i / 2], i % 2 != 0);
      if (stopped) restart(tables, options);
      catch_up();
      for (const std::string& table : tables) expect_same(table);
      ASSERT_FALSE(HasFailure()) << (bulk ? "peeked" : "streamed") << (stopped ? ", after it was stopped" : "");
    }
  }
}

TEST_F(PartitionsTest, OfANewOneNothingIsRead) {
  run(false);
  expect_all_same();
  size_t read = rows_read("orders");
  for (int day = 1000; day < 1005; ++day) {
    sql->run(fmt::format("CREATE TABLE day_{0} PARTITION OF orders FOR VALUES FROM ({0}) TO ({1})", day, day + 1));
    insert("orders", 1, 30, day);
    if (day == 1003) stop();
    if (day == 1004) run(false);
    if (day != 1003) expect_all_same();
  }
  sql->run("UPDATE orders SET v = 'w' WHERE day >= 1000");
  expect_all_same();
  EXPECT_EQ(rows_read("orders"), read);
  sql->run("DROP TABLE day_1001");  // its rows are known to have been there
  expect_all_same();
  EXPECT_GT(rows_read("orders"), read);
}

TEST_F(PartitionsTest, OfOneThatIsAttachedItsOwnRowsAreRead) {
  run(false);
  expect_all_same();
  size_t read = rows_read("orders");
  sql->run("CREATE TABLE filled (LIKE orders INCLUDING ALL)");
  insert("filled", 1, 40, 1000);
  sql->run(attach("orders", "filled", 1000));
  expect_all_same();
  EXPECT_EQ(rows_read("orders"), read + 40);
  sql->run("BEGIN; CREATE TABLE at_once (LIKE orders INCLUDING ALL)");
  insert("at_once", 1, 5, 1001);
  sql->run(attach("orders", "at_once", 1001));
  sql->run(
      "CREATE TABLE again PARTITION OF orders FOR VALUES FROM (1002) TO (1003); ALTER TABLE orders DETACH PARTITION "
      "again");
  insert("again", 1, 5, 1002);
  sql->run(attach("orders", "again", 1002) + "; COMMIT");
  sql->run(
      "CREATE UNLOGGED TABLE unlogged PARTITION OF orders FOR VALUES FROM (1003) TO (1004); INSERT INTO orders SELECT "
      "i, 1003 FROM generate_series(1, 10) i; ALTER TABLE unlogged SET LOGGED");
  expect_all_same();
  read += 20;
  EXPECT_EQ(rows_read("orders"), read + 40);
  stop();
  sql->run(
      "CREATE TABLE below (LIKE orders INCLUDING ALL) PARTITION BY RANGE (day); CREATE TABLE below_1 PARTITION OF "
      "below DEFAULT");
  insert("below", 1, 30, 2000);
  sql->run(attach("orders", "below", 2000));
  insert("orders", 31, 33, 2000);
  run(false);
  expect_all_same();
  EXPECT_GE(rows_read("orders"), read + 40 + 33);
  EXPECT_LE(rows_read("orders"), read + 40 + 33);
}

// Whatever commits between the query's snapshot and its end: a partition is looked at whole, or not seen.
TEST_F(PartitionsTest, ALookSeesNoHalfOfAnAttach) {
  sql->run("CREATE TABLE filled (LIKE orders INCLUDING ALL)");
  auto settings = ConnectionSettings::parse(TestPostgres::shared().url(database), "");
  ASSERT_TRUE(settings.ok());
  asio::io_context loop;
  PgConnection connection(loop.get_executor(), *settings);
  auto table = static_cast<uint32_t>(std::stoul(sql->one("SELECT 'orders'::regclass::oid")));
  auto look = [&]() -> asio::awaitable<std::vector<CatalogRelation>> {
    auto relations = co_await find_relations(connection, table);
    EXPECT_TRUE(relations.ok());
    co_return relations.ok() ? *relations : std::vector<CatalogRelation>();
  };
  auto run = [&]() -> asio::awaitable<void> {
    EXPECT_TRUE((co_await connection.connect(false, std::chrono::seconds(10))).ok());
    EXPECT_TRUE((co_await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")).ok());
    std::vector<CatalogRelation> before = co_await look();
    sql->run(attach("orders", "filled", 1000));
    for (const CatalogRelation& relation : co_await look()) EXPECT_NE(relation.relation.attached, 0U);
    EXPECT_TRUE((co_await connection.execute("COMMIT")).ok());
    EXPECT_EQ((co_await look()).size(), before.size() + 1);
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
}

TEST_F(PartitionsTest, NewOnesDoNotStartAReadingAgain) {
  insert("orders", 1000, 20'000, 150);
  CaptureClient made = client("acme", database, {"public.orders"});
  made.snapshot_rows_per_second = 8000;
  PostgresCaptureOptions options = defaults();
  options.chunk_rows = 200;
  options.chunk_first_blocks = 2;
  source = make_postgres_source({made}, log, options);
  ASSERT_TRUE(source->start().ok());
  auto rows = [&] { return status().snapshots.empty() ? 0 : status().snapshots[0].rows_read; };
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(wait_for([&] { return rows() > 500 + 2000U * static_cast<unsigned>(i); }));
    sql->run(
        fmt::format("CREATE TABLE day_{0} PARTITION OF orders FOR VALUES FROM ({0}) TO ({1})", 1000 + i, 1001 + i));
    insert("orders", 1, 30, 1000 + i);
    if (i == 2) {
      source.reset();
      source = make_postgres_source({made}, log, options);
      ASSERT_TRUE(source->start().ok());
    }
  }
  catch_up();
  expect_same("public.orders");
  EXPECT_LT(rows_read("orders"), 19'001U + 1000 + 4 * 30 + 3000) << "rows were read twice";
}

// Made and filled in one transaction, while its table is read and after: neither reads the table again.
TEST_F(PartitionsTest, ThoseMadeAndFilledInOneTransactionAreToldOf) {
  insert("orders", 1000, 6'000, 150);
  PostgresCaptureOptions options = defaults();
  options.health_interval = std::chrono::milliseconds(50);
  source = make_postgres_source({client("acme", database, {"public.orders"})}, log, options);
  ASSERT_TRUE(source->start().ok());
  catch_up();
  size_t before = rows_read("orders");
  for (int day = 1000; day < 1006; ++day) {
    sql->run("BEGIN");
    sql->run(fmt::format("CREATE TABLE day_{0} PARTITION OF orders FOR VALUES FROM ({0}) TO ({1})", day, day + 1));
    insert("orders", 1, 30, day);
    sql->run("COMMIT");
    catch_up();
  }
  expect_same("public.orders");
  EXPECT_LE(rows_read("orders"), before) << "the table was read again";
}

// One goes in the middle of each reading: what went before is gone all the same when a reading ends.
TEST_F(PartitionsTest, AReadingEndsAlthoughPartitionsGoFasterThanIt) {
  for (int day = 1000; day < 1010; ++day) {
    sql->run(fmt::format("CREATE TABLE day_{0} PARTITION OF orders FOR VALUES FROM ({0}) TO ({1})", day, day + 1));
    insert("orders", 1, 300, day);
  }
  CaptureClient made = client("acme", database, {"public.orders"});
  made.snapshot_rows_per_second = 2000;  // 2,000 rows are read at once, and the other 2,000 in a second
  PostgresCaptureOptions options = defaults();
  options.chunk_rows = 200;
  options.chunk_first_blocks = 2;
  source = make_postgres_source({made}, log, options);
  ASSERT_TRUE(source->start().ok());
  // Rows that each reading told of until it ended, and the one in flight behind them.
  auto readings = [&] {
    std::lock_guard lock(log.mutex);
    std::vector<size_t> rows(1);
    for (const EventBatch& batch : log.batches["acme"]) {
      rows.back() += static_cast<size_t>(std::count(batch.ops.begin(), batch.ops.end(), Op::kSnapshot));
      if (!batch.ranges.empty()) rows.push_back(0);
    }
    return rows;
  };
  size_t readings_used = 0;
  for (int gone = 1000; gone < 1004; ++gone) {
    std::vector<size_t> seen;
    ASSERT_TRUE(wait_for([&] {
      seen = readings();
      return seen.size() > readings_used && seen.back() > 500;
    }));
    readings_used = seen.size();
    sql->run(fmt::format("DROP TABLE day_{}", gone));
    sql->run(
        fmt::format("CREATE TABLE day_{0} PARTITION OF orders FOR VALUES FROM ({0}) TO ({1})", gone + 10, gone + 11));
    insert("orders", 1, 300, gone + 10);
  }
  catch_up();
  expect_same("public.orders");
  // One that began again when a partition went has told of more than the 4,000 rows that are there, and the 300 that came.
  for (size_t rows : readings()) EXPECT_LE(rows, 4'300U);
}

TEST_F(PartitionsTest, OneThatGoesWhileItsTableIsReadLeavesNothing) {
  insert("orders", 1000, 6'000, 150);
  for (bool told : {false, true}) {
    std::string name = told ? "told" : "untold";
    CaptureClient made = client(name, database, {"public.orders"});
    made.snapshot_rows_per_second = 4000;
    PostgresCaptureOptions options = defaults();
    options.chunk_rows = 200;
    options.chunk_first_blocks = 2;
    source = make_postgres_source({made}, log, options);
    ASSERT_TRUE(source->start().ok());
    ASSERT_TRUE(wait_for([&] { return !status().snapshots.empty() && status().snapshots[0].rows_read > 500; }));
    sql->run("CREATE TABLE short PARTITION OF orders FOR VALUES FROM (1000) TO (1001)");
    insert("orders", 1, 30, 1000);
    ASSERT_TRUE(wait_for([&] { return !told || rows_of(name, "orders", Op::kCreate) >= 30; }));
    sql->run("DROP TABLE short");
    catch_up();
    EXPECT_EQ(merged("public.orders", name).size(), std::stoul(sql->one("SELECT count(*) FROM orders")));
  }
}

TEST_F(PartitionsTest, OneThatGoesBeforeAnybodyLooksLeavesNothing) {
  run(false);
  expect_all_same();
  stop();
  PostgresCaptureOptions options = defaults();
  options.health_interval = std::chrono::hours(1);
  restart({"public.orders", "public.archive"}, options);
  ASSERT_TRUE(wait_for([&] { return status().mode == SourceMode::kStreaming; }));
  size_t before = rows_created("orders");
  sql->run("CREATE TABLE short PARTITION OF orders FOR VALUES FROM (1000) TO (1001)");
  insert("orders", 1, 30, 1000);
  ASSERT_TRUE(wait_for([&] { return rows_created("orders") >= before + 30; }));
  stop();
  sql->run("DROP TABLE short");
  run(false);
  expect_all_same();
}

}  // namespace
}  // namespace tributary
