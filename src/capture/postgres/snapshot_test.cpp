#include <algorithm>
#include <atomic>
#include <thread>

#include "capture/postgres/capture_fixture_for_test.h"
#include "capture/postgres/source_state.h"
#include "capture/postgres/visibility.h"

namespace tributary {
namespace {

class SnapshotTest : public CaptureFixture {
 public:
  static PostgresCaptureOptions small_chunks() {
    PostgresCaptureOptions options;
    options.chunk_rows = 200;
    options.chunk_first_blocks = 1;
    return options;
  }
  bool snapshot_runs() { return !status().snapshots.empty() && status().snapshots[0].rows_read > 0; }
};

TEST_F(SnapshotTest, ConvergesUnderWriters) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, v int, note text) WITH (fillfactor = 60)");
  sql->run("INSERT INTO orders SELECT i, 0, repeat('n', 100) FROM generate_series(1, 20000) i");
  std::atomic<bool> done = false;
  std::vector<std::thread> writers;
  writers.reserve(2);
  for (int w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      TestConnection own(TestPostgres::shared().url(database));
      for (int i = 0; !done; ++i) {
        int id = (i * 7919 + w * 31) % 20000 + 1;
        own.run(fmt::format("UPDATE orders SET v = v + 1, note = repeat('m', {}) WHERE id = {}", i % 300, id));
        if (i % 5 == 0) own.run(fmt::format("DELETE FROM orders WHERE id = {}", (id * 13) % 20000));
        if (i % 7 == 0)
          own.run(
              fmt::format("INSERT INTO orders VALUES ({}, 1, 'new') ON CONFLICT DO NOTHING", 20001 + w * 1000000 + i));
        if (i % 11 == 0)
          own.run(fmt::format("UPDATE orders SET id = {} WHERE id = {}", -(w * 1000000 + i + 1), (id * 17) % 20000));
      }
    });
  }
  start({"public.orders"}, small_chunks());
  ASSERT_TRUE(wait_for([&] { return status().mode == SourceMode::kStreaming; }, 60)) << status().reason;
  done = true;
  for (std::thread& writer : writers) writer.join();
  catch_up();
  expect_same("public.orders");
}

TEST_F(SnapshotTest, ResumesAfterAKillAndGoesOnWithTheSameFirstPosition) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, v text)");
  sql->run("INSERT INTO orders SELECT i, repeat('v', 50) FROM generate_series(1, 20000) i");
  auto slow = [&](uint64_t rate) {
    source.reset();
    CaptureClient made = client("acme", database, {"public.orders"});
    made.snapshot_rows_per_second = rate;
    PostgresCaptureOptions options = defaults();
    options.chunk_rows = 200;
    options.chunk_first_blocks = 2;
    source = make_postgres_source({made}, log, options);
    ASSERT_TRUE(source->start().ok());
  };
  slow(4000);
  ASSERT_TRUE(wait_for([&] { return snapshot_runs() && status().snapshots[0].rows_read > 1000; }));
  EXPECT_GT(status().snapshots[0].fraction, 0);
  EXPECT_LT(status().snapshots[0].fraction, 1);
  ASSERT_TRUE(status().snapshots[0].seconds_left.has_value());
  stop();
  auto stored = [&] { return SnapshotState::decode(log.states["acme"]["snapshot/public.orders"]).value(); };
  SnapshotState before = stored();
  EXPECT_FALSE(before.done);
  EXPECT_GT(before.rows, 0U);
  // Fewer than status told of: stopping drops what is queued. Rows and progress are one write, though.
  EXPECT_EQ(before.rows, merged("public.orders").size());
  sql->run("DELETE FROM orders WHERE id <= 500; UPDATE orders SET v = 'w' WHERE id BETWEEN 600 AND 700");
  slow(0);
  catch_up();
  SnapshotState after = stored();
  EXPECT_TRUE(after.done);
  EXPECT_EQ(after.first, before.first);
  EXPECT_LT(log.events, 20000u + 2000u) << "rows were read twice";
  expect_same("public.orders");
}

TEST_F(SnapshotTest, ARewriteStartsTheTableAgain) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, v text)");
  sql->run(
      "INSERT INTO orders SELECT i, repeat('v', 50) FROM generate_series(1, 20000) i; DELETE FROM orders WHERE id % 3 "
      "= 0");
  CaptureClient made = client("acme", database, {"public.orders"});
  made.snapshot_rows_per_second = 8000;
  PostgresCaptureOptions options = defaults();
  options.chunk_rows = 200;
  source = make_postgres_source({made}, log, options);
  ASSERT_TRUE(source->start().ok());
  ASSERT_TRUE(wait_for([&] { return snapshot_runs(); }));
  sql->run("VACUUM FULL orders");
  catch_up();
  expect_same("public.orders");
}

TEST_F(SnapshotTest, AnotherColumnTypeWhileItIsReadStartsTheTableAgain) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, v text)");
  sql->run("INSERT INTO orders SELECT i, repeat('v', 50) FROM generate_series(1, 10000) i");
  CaptureClient made = client("acme", database, {"public.orders"});
  made.snapshot_rows_per_second = 8000;
  PostgresCaptureOptions options = defaults();
  options.chunk_rows = 200;
  source = make_postgres_source({made}, log, options);
  ASSERT_TRUE(source->start().ok());
  ASSERT_TRUE(wait_for([&] { return snapshot_runs(); }));
  sql->run("ALTER TABLE orders ALTER COLUMN id TYPE bigint, ADD COLUMN w int DEFAULT 4");
  catch_up();
  expect_same("public.orders");
}

// A transaction that waits for a standby that does not exist: its commit is in the log and is delivered, and no snapshot
// sees it. A chunk read meanwhile must lose against it.
TEST_F(SnapshotTest, ACommitThatIsDeliveredAndInvisibleWins) {
  TestPostgres server("synchronous_standby_names = ''");
  std::string name = server.make_database();
  TestConnection own(server.url(name));
  own.run("CREATE TABLE orders (id int PRIMARY KEY, v text); CREATE TABLE late (id int PRIMARY KEY, v text)");
  own.run(
      "INSERT INTO orders SELECT i, 'old' FROM generate_series(1, 1000) i; INSERT INTO late SELECT i, 'old' FROM "
      "generate_series(1, 1000) i");
  auto begin = [&](std::vector<std::string> tables) {
    CaptureClient made = client("acme", name, std::move(tables));
    made.url = server.url(name);
    source = make_postgres_source({made}, log, defaults());
    ASSERT_TRUE(source->start().ok());
  };
  begin({"public.orders"});
  catch_up();
  own.run("SET synchronous_commit = local");
  own.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  own.run("SELECT pg_reload_conf()");
  ASSERT_TRUE(wait_for([&] { return own.one("SHOW synchronous_standby_names") == "nobody"; }));
  {
    TestConnection waiting(server.url(name));
    waiting.run("SET synchronous_commit = on");
    waiting.send("UPDATE orders SET v = 'new' WHERE id = 1; ");
    ASSERT_TRUE(wait_for([&] { return merged("public.orders").begin()->second["v"] == "new"; }))
        << "the commit was not delivered";
    EXPECT_EQ(own.one("SELECT v FROM orders WHERE id = 1"), "old") << "the commit is visible: nothing is tested";
    // The row is read again while the commit is invisible: the stale value must not win.
    std::string key = merged("public.orders").begin()->first;
    uint64_t before = log.events;
    source->read_again(ClientId("acme"), "public.orders", {key});
    ASSERT_TRUE(wait_for([&] { return log.events > before; }));
    EXPECT_EQ(merged("public.orders").begin()->second["v"], "new");
    std::lock_guard lock(log.mutex);
    bool stale_read = false;
    for (const EventBatch& batch : log.batches["acme"]) {
      for (size_t row = 0; row < batch.rows(); ++row) {
        stale_read = stale_read ||
                     (batch.ops[row] == Op::kSnapshot && batch.rows() == 1 && batch.columns[1].bytes(row) == "old");
      }
    }
    EXPECT_TRUE(stale_read) << "the row was not read while the commit was invisible";
  }
  own.run("ALTER SYSTEM SET synchronous_standby_names = ''");
  own.run("SELECT pg_reload_conf()");
  catch_up();
  EXPECT_EQ(merged("public.orders").begin()->second["v"], "new");
  stop();
}

// The operators of an extension's type are where the extension is.
TEST_F(SnapshotTest, ARowIsReadByAKeyOfAnExtensionsType) {
  sql->run("CREATE SCHEMA kinds; CREATE EXTENSION ltree SCHEMA kinds; CREATE EXTENSION citext SCHEMA kinds");
  sql->run("CREATE TABLE paths (path kinds.ltree, name kinds.citext, PRIMARY KEY (path, name))");
  sql->run("INSERT INTO paths VALUES ('a.b', 'One'), ('a.c', 'Two')");
  start({"public.paths"});
  catch_up();
  size_t before = log.events;
  source->read_again(ClientId("acme"), "public.paths", {merged("public.paths").begin()->first});
  EXPECT_TRUE(wait_for([&] { return log.events > before; })) << status().reason;
  expect_same("public.paths");
}

TEST_F(SnapshotTest, WaitsForTransactionsThatRanBeforeAndNamesThem) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, v text)");
  sql->run("INSERT INTO orders VALUES (1, 'a')");
  TestConnection open(TestPostgres::shared().url(database));
  open.run("SET application_name = 'the_blocker'; BEGIN; INSERT INTO orders VALUES (2, 'b')");
  start({"public.orders"});
  ASSERT_TRUE(wait_for([&] { return status().reason.find("the_blocker") != std::string::npos; })) << status().reason;
  open.run("COMMIT");
  catch_up();
  expect_same("public.orders");
}

TEST_F(SnapshotTest, AResetReadsEverythingAgainAndRemovesWhatVanished) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, v text)");
  sql->run("INSERT INTO orders SELECT i, 'a' FROM generate_series(1, 100) i");
  start({"public.orders"});
  catch_up();
  stop();
  std::string slot = fmt::format("tributary_{}_acme", database);
  // The server lets go of a slot a moment after its client has gone.
  ASSERT_TRUE(wait_for([&] {
    return sql->rows(fmt::format("SELECT 1 FROM pg_replication_slots WHERE slot_name = '{}' AND active", slot)).empty();
  }));
  sql->run(fmt::format("SELECT pg_drop_replication_slot('{}')", slot));
  sql->run("DELETE FROM orders WHERE id <= 10; UPDATE orders SET v = 'b' WHERE id = 11");
  start({"public.orders"});
  ASSERT_TRUE(wait_for([&] { return status().mode == SourceMode::kStopped; }));
  EXPECT_NE(status().reason.find("is missing"), std::string::npos) << status().reason;
  EXPECT_NE(status().remedy.find("reset acme"), std::string::npos) << status().remedy;
  PostgresCaptureOptions options;
  options.reset_clients = {ClientId("acme")};
  restart({"public.orders"}, options);
  catch_up();
  expect_same("public.orders");
  EXPECT_EQ(merged("public.orders").size(), 90u);
  EXPECT_EQ(status().durable.epoch, 2u);
}

TEST_F(SnapshotTest, TablesAreAddedAndRemovedByThePipelineFile) {
  sql->run(
      "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1); INSERT INTO "
      "b VALUES (1)");
  start({"public.a"});
  catch_up();
  restart({"public.a", "public.b"});
  catch_up();
  sql->run("INSERT INTO b VALUES (2)");
  catch_up();
  expect_same("public.b");
  restart({"public.b"});
  catch_up();
  EXPECT_EQ(sql->one("SELECT string_agg(tablename, ',') FROM pg_publication_tables WHERE pubname LIKE 'tributary_" +
                     database + "%'"),
            "b");
}

TEST_F(SnapshotTest, EveryTypeComesTheSameByBothWays) {
  sql->run(
      "CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS "
      "ltree");
  sql->run(
      "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN price AS "
      "numeric(10,2) CHECK (VALUE > -100); CREATE DOMAIN deep AS price");
  const char* columns =
      "(id int PRIMARY KEY, b bool, i2 int2, i8 int8, o oid, f4 float4, f8 float8, n numeric, n2 numeric(12,2), nn "
      "numeric(6,-2), "
      "big numeric(60,10), huge numeric(100,5), m money, d date, ts timestamp, tz timestamptz, t time, ttz timetz, iv "
      "interval, u uuid, tx text, vc varchar(20), "
      "ch char(5), nm name, ci citext, e mood, x xml, p price, dp deep, j json, jb jsonb, by bytea, ia int[], ta "
      "text[][], r int4range, mr int4multirange, "
      "c pair, pt point, ip inet, cd cidr, ma macaddr, bt bit(5), vb varbit, tv tsvector, h hstore, l ltree, ls "
      "pg_lsn)";
  sql->run(fmt::format("CREATE TABLE before {}; CREATE TABLE after {}", columns, columns));
  std::vector<std::string> rows = {
      "(1, true, -32768, 9223372036854775807, 4294967295, 'NaN', '-Infinity', 'NaN', 0.01, 12300, "
      "12345678901234567890123456789012345678901234567890.0123456789, "
      "1e90, -12345.67, 'infinity', '-infinity', 'infinity', '24:00:00', '23:59:59.999999+15:59', '-178000000 years', "
      "'00000000-0000-0000-0000-000000000001', E'tab\\t\\\\N\\n\\r\\x01', "
      "'é', 'ab', 'name', 'CiText', 'ok', '<a>1</a>', 1.50, 2.25, '{\"a\": 12345678901234567890.123, \"b\": null}', "
      "'{\"a\": 1e400}', '\\x00ff', '{1,NULL,3}', '[2:3][1:2]={{a,NULL},{\"c,d\",e}}', "
      "'[1,5)', '{[1,3),[5,7)}', ROW(1, 'x y'), '(1.5,2)', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', B'10101', "
      "B'1', 'a:1 b:2', 'a=>1,b=>NULL', 'Top.Science', '16/B374D848')",
      "(2, false, 0, 0, 0, 1e-45, 2.2250738585072014e-308, 'Infinity', -9999999999.99, -100, -0.0000000001, -0.00001, "
      "'92233720368547758.07', '4713-01-01 BC', '4713-01-01 00:00:00 BC', "
      "'294276-12-31 23:59:59.999999+00', '00:00', '00:00+00', '1 mon -1 day 00:00:00.000001', "
      "'ffffffff-ffff-ffff-ffff-ffffffffffff', '', '', '', '', '', 'sad', '', 0, 0, 'null', 'null', '', "
      "'{}', '{}', 'empty', '{}', ROW(NULL, NULL), '(-0,0)', '127.0.0.1', '::/0', '00:00:00:00:00:00', B'00000', B'', "
      "'', '', '', '0/0')",
      "(3" +
          [] {
            std::string nulls;
            for (int i = 0; i < 46; ++i) nulls += ", NULL";
            return nulls;
          }() +
          ")",
      "(4, NULL, 1, -1, 1, 0.1, 0.1, 123456789012345678901.1234567890123456789, 1, 1, 1, 1, 1, '9999-12-31', "
      "'9999-12-31 23:59:59.999999', '0001-01-01 00:00:00+00 BC', '12:34:56.7', '12:00-08', "
      "'1 year 2 mons', NULL, 'x', 'x', 'x', 'x', 'x', NULL, NULL, 1, 1, '[1, 2]', '[1,  2]', '\\x', '{{1,2},{3,4}}', "
      "NULL, '(,)', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"};
  for (const std::string& row : rows) sql->run("INSERT INTO before VALUES " + row);
  start({"public.before", "public.after"});
  catch_up();
  for (const std::string& row : rows) sql->run("INSERT INTO after VALUES " + row);
  catch_up();
  MergedTable by_snapshot = merged("public.before");
  MergedTable by_stream = merged("public.after");
  ASSERT_EQ(by_snapshot.size(), rows.size());
  for (auto& [key, row] : by_snapshot) {
    for (auto& [column, text] : row) EXPECT_EQ(text, by_stream[key][column]) << column << " of " << row["id"];
  }
  // States agree too: a value in one is a value in the other.
  std::lock_guard lock(log.mutex);
  std::map<std::string, std::string> states;
  for (const EventBatch& batch : log.batches["acme"]) {
    for (size_t row = 0; row < batch.rows(); ++row) {
      std::string all;
      for (const Column& column : batch.columns) all += std::to_string(static_cast<int>(column.state(row)));
      auto [at, fresh] = states.emplace(batch.row_key(row), all);
      EXPECT_EQ(at->second, all);
    }
  }
}

TEST(VisibilityTest, PositionsOfReads) {
  Visibility visibility;
  EXPECT_TRUE(visibility.needs_barrier());
  visibility.begin_barrier();
  visibility.delivered(700, 0x100);
  visibility.delivered(701, 0x200);
  EXPECT_EQ(visibility.read_lsn(0x250, *PgSnapshot::parse("702:702:")), 0x250u);
  visibility.delivered(702, 0x300);
  visibility.delivered(703, 0x400);
  EXPECT_EQ(visibility.read_lsn(0x450, *PgSnapshot::parse("702:704:702")), 0x300u);
  EXPECT_EQ(visibility.read_lsn(0x450, *PgSnapshot::parse("704:704:")), 0x450u);
  // Ids wrap around at 2^32.
  visibility.delivered(5, 0x500);
  EXPECT_EQ(visibility.read_lsn(0x550, *PgSnapshot::parse("4294967300:4294967302:4294967301")), 0x500u);
  EXPECT_FALSE(PgSnapshot::parse("7:8").has_value());
  // A table that is to be read afresh wants a barrier; the one that is being read needs what is remembered.
  visibility.want_barrier();
  EXPECT_TRUE(visibility.needs_barrier());
  visibility.delivered(6, 0x700);
  visibility.begin_barrier();
  EXPECT_EQ(visibility.read_lsn(0x850, *PgSnapshot::parse("4294967301:4294967303:4294967301,4294967302")), 0x500u);
  EXPECT_EQ(visibility.times_forgotten(), 0u);
  for (size_t i = 0; i <= Visibility::remembered_max; ++i) visibility.delivered(900, 0x600);
  EXPECT_TRUE(visibility.needs_barrier());
  EXPECT_FALSE(visibility.remembers());
  EXPECT_EQ(visibility.times_forgotten(), 1u);
}

}  // namespace
}  // namespace tributary
