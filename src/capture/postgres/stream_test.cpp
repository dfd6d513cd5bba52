#include "capture/postgres/capture_fixture_for_test.h"

#include <algorithm>
#include <set>
#include <thread>

namespace tributary {
namespace {

bool warns_of(const SourceStatus& status, const std::string& text) {
  return std::any_of(status.warnings.begin(), status.warnings.end(),
                     [&](const std::string& warning) { return warning.find(text) != std::string::npos; });
}

using StreamTest = CaptureFixture;

TEST_F(StreamTest, SnapshotThenStreamConverge) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, note text, total numeric(12,2))");
  sql->run("INSERT INTO orders SELECT i, 'note ' || i, i * 1.5 FROM generate_series(1, 5000) i");
  start({"public.orders"});
  catch_up();
  expect_same("public.orders");
  EXPECT_EQ(merged("public.orders").size(), 5000u);
  sql->run("INSERT INTO orders VALUES (6000, 'new', 7)");
  sql->run("UPDATE orders SET note = 'changed' WHERE id <= 10");
  sql->run("DELETE FROM orders WHERE id BETWEEN 11 AND 20");
  sql->run("UPDATE orders SET id = 7000 WHERE id = 30");
  catch_up();
  expect_same("public.orders");
  EXPECT_EQ(status().mode, SourceMode::kStreaming);
}

TEST_F(StreamTest, ADatabaseOfAnyBytesIsReadAsItIs) {
  database =
      TestPostgres::shared().make_database("ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
  sql = std::make_unique<TestConnection>(TestPostgres::shared().url(database));
  sql->run("CREATE TABLE notes (id text PRIMARY KEY, note text)");
  sql->run("INSERT INTO notes VALUES (E'\\xe9', E'latin \\xe9\\xff'), ('2', E'utf-8 \\xc3\\xa9')");
  for (bool bulk : {false, true}) {
    PostgresCaptureOptions options;
    options.bulk = bulk;
    options.bulk_backlog_bytes = 1;
    start({"public.notes"}, options);
    catch_up();
    expect_same("public.notes");
    stop();
    sql->run("UPDATE notes SET note = note || E'\\xfe'");
  }
  start({"public.notes"});
  catch_up();
  expect_same("public.notes");
}

// 0x81 has no character in WIN1252, and the server converts no text that has it. Every way of reading says the same.
TEST_F(StreamTest, AByteWithoutACharacterHasAPlaceOfItsOwn) {
  database = TestPostgres::shared().make_database("ENCODING 'WIN1252' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
  sql = std::make_unique<TestConnection>(TestPostgres::shared().url(database));
  sql->run("SET client_encoding = 'UTF8'");
  sql->run("CREATE TABLE \"bücher\" (id text PRIMARY KEY, \"größe\" text, long text)");
  const char* rows =
      "(convert_from('\\x81', 'SQL_ASCII') || '{0}', 'plain', NULL), ('{0}€', 'é' || convert_from('\\x8d', "
      "'SQL_ASCII'), "
      "repeat(convert_from('\\x80819d', 'SQL_ASCII'), 3000))";
  auto insert = [&](std::string_view id) {
    sql->run("INSERT INTO \"bücher\" VALUES " + fmt::format(fmt::runtime(rows), id));
  };
  insert("snapshot");
  for (bool bulk : {false, true}) {
    PostgresCaptureOptions options;
    options.bulk = bulk;
    options.bulk_backlog_bytes = 1;
    start({"public.bücher"}, options);
    catch_up();
    stop();
    insert(bulk ? "streamed" : "peeked");
  }
  start({"public.bücher"});
  catch_up();
  EXPECT_EQ(status().mode, SourceMode::kStreaming);
  MergedTable table = merged("public.bücher");
  ASSERT_EQ(table.size(), 6U);
  std::set<std::string> ids;
  for (const auto& [key, row] : table) {
    const std::string& id = row.at("id");
    ids.insert(id);
    if (row.at("größe") == "plain") continue;
    EXPECT_EQ(row.at("größe"), "é\uF78D") << id;
    EXPECT_EQ(row.at("long").substr(0, 9), "€\uF781\uF79D") << id;
  }
  EXPECT_TRUE(ids.contains("\uF781peeked") && ids.contains("\uF781streamed") && ids.contains("\uF781snapshot"));
  // A row that is wanted again is found by its key.
  std::string key =
      "\x0B\uF781"
      "peeked" +
      std::string(2, '\0');
  size_t before = log.batches["acme"].size();
  source->read_again(ClientId("acme"), "public.bücher", {key});
  EXPECT_TRUE(wait_for([&] {
    std::lock_guard lock(log.mutex);
    for (size_t i = before; i < log.batches["acme"].size(); ++i) {
      const EventBatch& batch = log.batches["acme"][i];
      if (batch.rows() > 0 && batch.ops[0] == Op::kSnapshot && batch.row_key(0) == key) return true;
    }
    return false;
  }));
}

// Changes of values that are in no event: seen in the catalog, and the table is read again.
TEST_F(StreamTest, RewrittenAndRenamedValuesAreReadAgain) {
  sql->run("CREATE TYPE mood AS ENUM ('sad', 'ok')");
  sql->run("CREATE TABLE things (id int, v int, mood mood, moods mood[], PRIMARY KEY (id, mood))");
  sql->run("INSERT INTO things SELECT i, i, 'sad', '{sad,ok}' FROM generate_series(1, 100) i");
  start({"public.things"});
  catch_up();
  expect_same("public.things");
  auto snapshot_rows = [&] {
    std::lock_guard lock(log.mutex);
    size_t rows = 0;
    for (const EventBatch& batch : log.batches["acme"]) {
      rows += static_cast<size_t>(std::ranges::count(batch.ops, Op::kSnapshot));
    }
    return rows;
  };
  EXPECT_EQ(snapshot_rows(), 100U);
  // These move or look at every row, and change none.
  sql->run("VACUUM FULL things");
  sql->run("CLUSTER things USING things_pkey");
  sql->run("ALTER TYPE mood ADD VALUE 'fine' BEFORE 'ok'");
  sql->run("ALTER TYPE mood ADD VALUE 'it''s'");
  catch_up();
  expect_same("public.things");
  EXPECT_EQ(snapshot_rows(), 100U);

  sql->run("ALTER TABLE things ALTER COLUMN v TYPE int USING v * 2");
  catch_up();
  expect_same("public.things");
  EXPECT_EQ(snapshot_rows(), 200U);

  sql->run("ALTER TYPE mood RENAME VALUE 'sad' TO 'glum'");
  sql->run("UPDATE things SET v = 0 WHERE id = 1; DELETE FROM things WHERE id = 2");
  catch_up();
  expect_same("public.things");

  stop();
  sql->run("ALTER TABLE things ALTER COLUMN v TYPE int USING v + 1; ALTER TYPE mood RENAME VALUE 'ok' TO 'okay'");
  start({"public.things"});
  catch_up();
  expect_same("public.things");
}

// Positions of a client's changes, each as often as it is in the log.
std::multiset<std::string> change_positions(MemoryLog& log, const std::string& client) {
  std::lock_guard lock(log.mutex);
  std::multiset<std::string> positions;
  for (const EventBatch& batch : log.batches[client]) {
    for (size_t row = 0; row < batch.rows(); ++row) {
      if (batch.ops[row] == Op::kSnapshot) continue;
      positions.insert(fmt::format("{} {} {}", batch.positions[row].to_string(), static_cast<char>(batch.ops[row]),
                                   batch.row_key(row)));
    }
  }
  return positions;
}

TEST_F(StreamTest, ResumesWhereItStoppedAndAppendsEachChangeOnce) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, note text)");
  start({"public.orders"});
  catch_up();
  for (int round = 0; round < 4; ++round) {
    sql->run(fmt::format("INSERT INTO orders SELECT i, 'x' FROM generate_series({}, {}) i", round * 1000,
                         round * 1000 + 499));
    if (round % 2 == 0) {
      restart({"public.orders"});
    } else {
      TestPostgres::shared().kill_backends("datname = '" + database + "' AND application_name = 'tributary'");
    }
    sql->run(fmt::format("INSERT INTO orders SELECT i, 'y' FROM generate_series({}, {}) i", round * 1000 + 500,
                         round * 1000 + 999));
  }
  catch_up();
  expect_same("public.orders");
  std::multiset<std::string> positions = change_positions(log, "acme");
  EXPECT_EQ(positions.size(), 4000u);
  for (const std::string& position : positions) ASSERT_EQ(positions.count(position), 1u) << position;
}

TEST_F(StreamTest, ATransactionCutByAStopIsAppendedOnce) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, note text)");
  PostgresCaptureOptions options;
  options.batch_facts_max = 50;
  options.in_flight_bytes_max = 4'000;
  options.bulk = false;
  start({"public.orders"}, options);
  catch_up();
  log.delay = std::chrono::milliseconds(2);
  sql->run("INSERT INTO orders SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i");
  ASSERT_TRUE(wait_for([&] { return change_positions(log, "acme").size() > 2000; }));
  stop();
  size_t before = change_positions(log, "acme").size();
  EXPECT_LT(before, 20000u) << "the stop came too late to cut anything";
  log.delay = std::chrono::milliseconds(0);
  start({"public.orders"}, options);
  catch_up();
  expect_same("public.orders");
  std::multiset<std::string> positions = change_positions(log, "acme");
  EXPECT_EQ(positions.size(), 20000u);
  EXPECT_EQ(std::set<std::string>(positions.begin(), positions.end()).size(), 20000u);
}

TEST_F(StreamTest, TablesThatCannotBeCapturedAreNamedAndTheRestFlows) {
  sql->run("CREATE TABLE good (id int PRIMARY KEY, v text)");
  sql->run("CREATE TABLE keyless (id int)");
  sql->run("CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING");
  sql->run("CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE); ALTER TABLE deferred REPLICA IDENTITY FULL");
  sql->run("CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)");
  sql->run("CREATE VIEW looking AS SELECT 1 AS id");
  start({"public.good", "public.keyless", "public.nothing", "public.deferred", "public.unlogged", "public.looking",
         "public.missing"});
  sql->run("INSERT INTO good VALUES (1, 'a')");
  catch_up();
  expect_same("public.good");
  SourceStatus now = status();
  for (const char* table :
       {"keyless has no primary key", "nothing has REPLICA IDENTITY NOTHING", "deferred has a deferrable",
        "unlogged is unlogged", "looking is a view", "no table public.missing"}) {
    EXPECT_TRUE(warns_of(now, table)) << table;
  }
  EXPECT_EQ(now.warnings.size(), 6u);
  // Repaired while it runs: taken in.
  sql->run("ALTER TABLE keyless ADD PRIMARY KEY (id); INSERT INTO keyless VALUES (5)");
  ASSERT_TRUE(wait_for([&] { return status().warnings.size() == 5; }));
  catch_up();
  expect_same("public.keyless");
}

TEST_F(StreamTest, AKeyThatWasAwayForAWhileLosesNothing) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders VALUES (1, 'a')");
  start({"public.orders"});
  catch_up();
  sql->run("ALTER TABLE orders DROP CONSTRAINT orders_pkey");
  sql->run("INSERT INTO orders VALUES (2, 'unseen')");
  sql->run("ALTER TABLE orders ADD PRIMARY KEY (id)");
  sql->run("INSERT INTO orders VALUES (3, 'c')");
  catch_up();
  expect_same("public.orders");
  // The same while nobody looks, and with the table out of the publication.
  stop();
  sql->run("ALTER PUBLICATION tributary_" + database + "_acme DROP TABLE orders");
  sql->run("INSERT INTO orders VALUES (4, 'unseen')");
  start({"public.orders"});
  catch_up();
  expect_same("public.orders");
}

TEST_F(StreamTest, IdentitiesAndKeys) {
  sql->run("CREATE TABLE by_default (a int, b text, v text, PRIMARY KEY (b, a))");
  sql->run(
      "CREATE TABLE by_index (id int PRIMARY KEY, code text NOT NULL UNIQUE, v text); "
      "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code_key");
  sql->run("CREATE TABLE by_full (id int PRIMARY KEY, v text); ALTER TABLE by_full REPLICA IDENTITY FULL");
  start({"public.by_default", "public.by_index", "public.by_full"});
  catch_up();
  sql->run("INSERT INTO by_default SELECT i, 'k' || i, 'v' FROM generate_series(1, 100) i");
  sql->run("INSERT INTO by_index SELECT i, 'k' || i, 'v' FROM generate_series(1, 100) i");
  sql->run("INSERT INTO by_full SELECT i, 'v' FROM generate_series(1, 100) i");
  sql->run("UPDATE by_default SET b = 'moved' WHERE a <= 5; DELETE FROM by_default WHERE a > 90");
  sql->run(
      "UPDATE by_index SET id = id + 1000 WHERE id <= 5; UPDATE by_index SET code = 'x' || code WHERE id < 20; DELETE "
      "FROM by_index WHERE id BETWEEN 50 AND 60");
  sql->run(
      "UPDATE by_full SET v = 'w' WHERE id < 10; UPDATE by_full SET id = id + 1000 WHERE id < 5; DELETE FROM by_full "
      "WHERE id > 50 AND id < 60");
  // A swap of keys within one transaction, and the same key many times.
  sql->run(
      "BEGIN; UPDATE by_full SET id = -1 WHERE id = 20; UPDATE by_full SET id = 20 WHERE id = 21; UPDATE by_full SET "
      "id = 21 WHERE id = -1; COMMIT");
  sql->run(
      "BEGIN; INSERT INTO by_full VALUES (500, 'a'); DELETE FROM by_full WHERE id = 500; INSERT INTO by_full VALUES "
      "(500, 'b'); UPDATE by_full SET v = 'c' WHERE id = 500; COMMIT");
  catch_up();
  for (const char* table : {"public.by_default", "public.by_index", "public.by_full"}) expect_same(table);
  bool before_seen = false;
  {
    std::lock_guard lock(log.mutex);
    for (const EventBatch& batch : log.batches["acme"])
      before_seen = before_seen || (batch.domain == "by_full" && !batch.before.empty());
  }
  EXPECT_TRUE(before_seen);
}

TEST_F(StreamTest, UnchangedToastIsAbsentAndUnderFullItIsKnown) {
  for (const char* name : {"plain", "full_image"}) {
    sql->run(fmt::format(
        "CREATE TABLE {0} (id int PRIMARY KEY, big text, n int); ALTER TABLE {0} ALTER big SET STORAGE EXTERNAL",
        name));
  }
  sql->run("ALTER TABLE full_image REPLICA IDENTITY FULL");
  start({"public.plain", "public.full_image"});
  catch_up();
  for (const char* name : {"plain", "full_image"}) {
    sql->run(fmt::format("INSERT INTO {0} SELECT i, repeat(chr(96 + i), 5000), 0 FROM generate_series(1, 3) i", name));
    sql->run(
        fmt::format("UPDATE {0} SET n = 1 WHERE id = 1; UPDATE {0} SET id = 12 WHERE id = 2; UPDATE {0} SET big = NULL "
                    "WHERE id = 3",
                    name));
  }
  catch_up();
  expect_same("public.plain");
  expect_same("public.full_image");
  int absent_plain = 0;
  int absent_full = 0;
  std::lock_guard lock(log.mutex);
  for (const EventBatch& batch : log.batches["acme"]) {
    for (size_t row = 0; row < batch.rows(); ++row) {
      if (batch.ops[row] == Op::kDelete || batch.columns[1].state(row) != CellState::kAbsent) continue;
      ++(batch.domain == "plain" ? absent_plain : absent_full);
    }
  }
  EXPECT_EQ(absent_plain, 2);
  EXPECT_EQ(absent_full, 0);
}

TEST_F(StreamTest, PartitionsCountAsTheirTable) {
  sql->run("CREATE TABLE orders (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region)");
  sql->run(
      "CREATE TABLE orders_eu PARTITION OF orders FOR VALUES IN ('eu'); CREATE TABLE orders_us PARTITION OF orders FOR "
      "VALUES IN ('us')");
  sql->run(
      "INSERT INTO orders SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, i FROM generate_series(1, 1000) i");
  start({"public.orders"});
  catch_up();
  expect_same("public.orders");
  sql->run(
      "UPDATE orders SET region = 'us' WHERE id = 2; DELETE FROM orders WHERE id = 3; INSERT INTO orders VALUES (2000, "
      "'eu', 1)");
  sql->run("CREATE TABLE orders_asia (LIKE orders INCLUDING ALL); INSERT INTO orders_asia VALUES (3000, 'asia', 1)");
  catch_up();
  expect_same("public.orders");
  // Rows that come and go with their partition, and a partition emptied alone, are in no event.
  sql->run("ALTER TABLE orders ATTACH PARTITION orders_asia FOR VALUES IN ('asia')");
  catch_up();
  expect_same("public.orders");
  sql->run("TRUNCATE orders_eu");
  catch_up();
  expect_same("public.orders");
  sql->run("ALTER TABLE orders DETACH PARTITION orders_us");
  catch_up();
  expect_same("public.orders");
}

TEST_F(StreamTest, TruncateEmptiesWhatIsOlder) {
  sql->run(
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES "
      "parent)");
  start({"public.parent", "public.child"});
  catch_up();
  sql->run(
      "INSERT INTO parent SELECT generate_series(1, 50); INSERT INTO child SELECT i, i FROM generate_series(1, 50) i");
  sql->run("BEGIN; INSERT INTO parent VALUES (100); TRUNCATE parent CASCADE; INSERT INTO parent VALUES (200); COMMIT");
  catch_up();
  expect_same("public.parent");
  expect_same("public.child");
  EXPECT_EQ(merged("public.parent").size(), 1u);
}

TEST_F(StreamTest, SchemaChangesMidStreamAndWhileStopped) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, a int, b text)");
  sql->run("INSERT INTO orders SELECT i, i, 'b' || i FROM generate_series(1, 200) i");
  start({"public.orders"});
  catch_up();
  auto change = [&](const std::string& ddl) {
    SCOPED_TRACE(ddl);
    sql->run("UPDATE orders SET a = a + 1 WHERE id <= 20");
    sql->run(ddl);
    sql->run("INSERT INTO orders (id) SELECT max(id) + 1 FROM orders; UPDATE orders SET a = 5 WHERE id = 3");
    catch_up();
    expect_same("public.orders");
  };
  change("ALTER TABLE orders ADD COLUMN c int NOT NULL DEFAULT 7");
  change("ALTER TABLE orders RENAME COLUMN b TO note");
  change("ALTER TABLE orders DROP COLUMN note");
  change("ALTER TABLE orders ADD COLUMN note int DEFAULT 3");
  change("ALTER TABLE orders DROP COLUMN note; ALTER TABLE orders ADD COLUMN note int DEFAULT 4");
  change("ALTER TABLE orders ALTER COLUMN c TYPE numeric(10,2) USING c / 2.0");
  change("ALTER TABLE orders REPLICA IDENTITY FULL");
  change("ALTER TABLE orders REPLICA IDENTITY DEFAULT");
  stop();
  sql->run(
      "UPDATE orders SET a = 9 WHERE id = 4; ALTER TABLE orders ADD COLUMN d text DEFAULT 'new'; UPDATE orders SET a = "
      "10 WHERE id = 5");
  start({"public.orders"});
  catch_up();
  expect_same("public.orders");
  // Without any later change of the table.
  sql->run("ALTER TABLE orders ADD COLUMN e int DEFAULT 1");
  catch_up();
  expect_same("public.orders");
  // Another key.
  sql->run("ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ADD PRIMARY KEY (id, c)");
  sql->run("UPDATE orders SET a = 11 WHERE id = 6");
  catch_up();
}

TEST_F(StreamTest, PeekingAndStreamingGiveTheSamePositions) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, note text)");
  sql->run(fmt::format("ALTER DATABASE {} SET logical_decoding_work_mem = '64kB'", database));
  auto one = [&](const std::string& name, bool bulk) {
    PostgresCaptureOptions options = defaults();
    options.bulk = bulk;
    options.bulk_backlog_bytes = 1;
    options.spill_memory_bytes_max = 100'000;
    source = make_postgres_source({client(name, database, {"public.orders"})}, log, options);
    ASSERT_TRUE(source->start().ok());
    catch_up();
  };
  one("peeking", true);
  stop();
  one("streaming", false);
  stop();
  sql->run(
      "BEGIN; INSERT INTO orders VALUES (1, 'a'); SAVEPOINT s; INSERT INTO orders SELECT i, 'lost' FROM "
      "generate_series(10, 2000) i; "
      "ROLLBACK TO s; INSERT INTO orders VALUES (2, 'b'), (3, 'c'), (4, 'd'); SAVEPOINT t; UPDATE orders SET note = "
      "'e' WHERE id = 2; "
      "RELEASE t; COMMIT");
  sql->run("INSERT INTO orders SELECT i, repeat('x', 50) FROM generate_series(100, 5000) i");
  sql->run("CREATE TEMP TABLE numbers AS SELECT i FROM generate_series(6000, 6999) i");
  PQclear(PQexec(sql->raw(), "COPY orders FROM STDIN"));
  for (int i = 6000; i < 8000; ++i) {
    std::string line = fmt::format("{}\tcopied\n", i);
    PQputCopyData(sql->raw(), line.data(), static_cast<int>(line.size()));
  }
  PQputCopyEnd(sql->raw(), nullptr);
  while (PGresult* result = PQgetResult(sql->raw())) PQclear(result);
  sql->run(
      "DO $$ BEGIN FOR i IN 1..100 LOOP BEGIN INSERT INTO orders SELECT 10000 + i * 100 + j, 'sub' FROM "
      "generate_series(1, 60) j; "
      "IF i % 3 = 0 THEN RAISE EXCEPTION 'back'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END "
      "$$");
  sql->run("UPDATE orders SET id = id + 100000 WHERE id BETWEEN 100 AND 200");
  for (const char* statement : {"BEGIN", "DELETE FROM orders WHERE id < 150", "PREPARE TRANSACTION 'two'",
                                "INSERT INTO orders VALUES (-1, 'between')", "COMMIT PREPARED 'two'", "TRUNCATE orders",
                                "INSERT INTO orders VALUES (1, 'last')"}) {
    sql->run(statement);
  }
  one("peeking", true);
  stop();
  one("streaming", false);
  stop();
  std::multiset<std::string> peeked = change_positions(log, "peeking");
  std::multiset<std::string> streamed = change_positions(log, "streaming");
  EXPECT_GT(peeked.size(), 10'000u);
  EXPECT_TRUE(peeked == streamed) << peeked.size() << " peeked, " << streamed.size() << " streamed";
  EXPECT_EQ(std::set<std::string>(peeked.begin(), peeked.end()).size(), peeked.size());
  // On each record's LSN the ordinals are 0, 1, 2 …
  std::map<Position, std::set<uint32_t>> ordinals;
  for (const EventBatch& batch : log.batches["peeking"]) {
    for (Position position : batch.positions) {
      uint32_t ordinal = std::exchange(position.ordinal, 0);
      if (position.change != 0) ordinals[position].insert(ordinal);
    }
  }
  bool shared = false;
  for (auto& [position, seen] : ordinals) {
    ASSERT_EQ(*seen.begin(), 0u) << position.to_string();
    ASSERT_EQ(*seen.rbegin(), seen.size() - 1) << position.to_string();
    shared = shared || seen.size() > 1;
  }
  EXPECT_TRUE(shared) << "no record held more than one row: COPY was not tested";
}

TEST_F(StreamTest, AHugeTransactionIsSpilledAndAppliedWhole) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, note text)");
  PostgresCaptureOptions options;
  options.bulk = false;
  options.spill_memory_bytes_max = 1'000'000;
  sql->run(fmt::format("ALTER DATABASE {} SET logical_decoding_work_mem = '64kB'", database));
  start({"public.orders"}, options);
  catch_up();
  sql->run(
      "BEGIN; INSERT INTO orders SELECT i, repeat('y', 60) FROM generate_series(1, 100000) i; SAVEPOINT s; DELETE FROM "
      "orders; ROLLBACK TO s; "
      "UPDATE orders SET note = 'z' WHERE id % 10 = 0; COMMIT");
  sql->run("BEGIN; DELETE FROM orders; ROLLBACK");
  sql->run("INSERT INTO orders VALUES (0, 'after')");
  catch_up();
  EXPECT_EQ(merged("public.orders").size(), 100001u);
  expect_same("public.orders");
}

TEST_F(StreamTest, AnIdleDatabaseDoesNotHoldTheLog) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE other (t text)");
  start({"public.orders"});
  catch_up();
  std::string slot = "tributary_" + database + "_acme";
  std::string before =
      sql->one("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" + slot + "'");
  sql->run("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 2000)");
  std::string head = sql->one("SELECT pg_current_wal_lsn()");
  EXPECT_TRUE(wait_for([&] {
    return sql->one("SELECT confirmed_flush_lsn >= '" + head +
                    "'::pg_lsn FROM pg_replication_slots WHERE slot_name = '" + slot + "'") == "t";
  })) << "stayed at "
      << before;
}

TEST_F(StreamTest, NothingIsConfirmedThatTheLogDidNotTake) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY)");
  start({"public.orders"});
  catch_up();
  {
    std::lock_guard lock(log.mutex);
    log.fail_with = Error{ErrorCode::kResourceExhausted, "the disk is full"};
  }
  sql->run("INSERT INTO orders SELECT generate_series(1, 1000)");
  std::string head = sql->one("SELECT pg_current_wal_lsn()");
  ASSERT_TRUE(wait_for([&] { return warns_of(status(), "the disk is full"); }));
  EXPECT_EQ(sql->one("SELECT confirmed_flush_lsn < '" + head +
                     "'::pg_lsn FROM pg_replication_slots WHERE slot_name = 'tributary_" + database + "_acme'"),
            "t");
  {
    std::lock_guard lock(log.mutex);
    log.fail_with.reset();
  }
  catch_up();
  expect_same("public.orders");
}

TEST_F(StreamTest, RowsAreReadAgainByTheirKeys) {
  sql->run("CREATE TABLE orders (id int, code text, at timestamptz, v text, PRIMARY KEY (id, code, at))");
  sql->run(
      "INSERT INTO orders SELECT i, E'k''\\\\' || i, '2024-01-01'::timestamptz + i * interval '1 hour', 'v' FROM "
      "generate_series(1, 20) i");
  start({"public.orders"});
  catch_up();
  std::vector<std::string> keys;
  for (auto& [key, row] : merged("public.orders")) keys.push_back(key);
  ASSERT_EQ(keys.size(), 20u);
  sql->run("DELETE FROM orders WHERE id = 1");
  catch_up();
  size_t before = log.batches["acme"].size();
  source->read_again(ClientId("acme"), "public.orders", keys);
  size_t rows = 0;
  size_t gone = 0;
  EXPECT_TRUE(wait_for([&] {
    std::lock_guard lock(log.mutex);
    rows = gone = 0;
    for (size_t i = before; i < log.batches["acme"].size(); ++i) {
      rows += log.batches["acme"][i].rows();
      gone += log.batches["acme"][i].ranges.size();
    }
    return rows + gone == 20;
  })) << rows
      << " rows, " << gone << " gone";
  EXPECT_EQ(rows, 19u);
  EXPECT_EQ(gone, 1u);
  expect_same("public.orders");
}

}  // namespace
}  // namespace tributary
