#include "capture/postgres/capture_fixture_for_test.h"

#include <chrono>
#include <ctime>

namespace tributary {
namespace {

class BulkTest : public CaptureFixture {
 public:
  PostgresCaptureOptions small_bulk() {
    PostgresCaptureOptions options;
    options.bulk_backlog_bytes = 1 << 20;
    options.bulk_batch_bytes = 4 << 20;
    options.bulk_batch_bytes_max = 32 << 20;
    return options;
  }
};

TEST_F(BulkTest, DrainsABacklogByPeekingAndThenStreams) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, note text)");
  start({"public.orders"});
  catch_up();
  stop();
  for (int i = 0; i < 40; ++i) {
    sql->run(
        fmt::format("INSERT INTO orders SELECT {} + i, repeat('x', 100) FROM generate_series(1, 5000) i", i * 5000));
  }
  sql->run("UPDATE orders SET note = 'y' WHERE id % 100 = 0");
  start({"public.orders"}, small_bulk());
  bool peeked = wait_for([&] { return status().mode == SourceMode::kBulk; }, 5);
  catch_up();
  EXPECT_TRUE(peeked);
  EXPECT_TRUE(wait_for([&] { return status().mode == SourceMode::kStreaming; }, 5));
  expect_same("public.orders");
  EXPECT_EQ(log.events, 200'000u + 2'000u);
}

TEST_F(BulkTest, ATransactionHeldOpenDoesNotKeepItPeekingInVain) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, note text)");
  start({"public.orders"});
  catch_up();
  TestConnection open(TestPostgres::shared().url(database));
  open.run("BEGIN; INSERT INTO orders VALUES (-1, 'open')");
  stop();
  for (int i = 0; i < 60; ++i) {
    sql->run(
        fmt::format("INSERT INTO orders SELECT {} + i, repeat('x', 200) FROM generate_series(1, 5000) i", i * 5000));
  }
  PostgresCaptureOptions options = small_bulk();
  options.bulk_batch_bytes_max = 16 << 20;
  start({"public.orders"}, options);
  catch_up();
  open.run("COMMIT");
  catch_up();
  expect_same("public.orders");
}

// The server's slots are all taken but for `free`; whatever that is, the backlog arrives once.
class ScarceSlotsTest : public BulkTest, public ::testing::WithParamInterface<int> {};

TEST_P(ScarceSlotsTest, DrainsABacklog) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, note text)");
  start({"public.orders"});
  catch_up();
  stop();
  for (int i = 0; i < 10; ++i) {
    sql->run(
        fmt::format("INSERT INTO orders SELECT {} + i, repeat('x', 100) FROM generate_series(1, 5000) i", i * 5000));
  }
  sql->run(
      fmt::format("SELECT pg_create_physical_replication_slot('{}_' || i) FROM generate_series(1, "
                  "current_setting('max_replication_slots')::int - {} - (SELECT count(*)::int FROM "
                  "pg_replication_slots)) i",
                  database, GetParam()));
  start({"public.orders"}, small_bulk());
  catch_up();
  EXPECT_TRUE(wait_for([&] { return status().mode == SourceMode::kStreaming; }, 5));
  expect_same("public.orders");
  EXPECT_EQ(log.events, 50'000u);
  EXPECT_TRUE(wait_for([&] { return sql->one("SELECT count(*) FROM pg_replication_slots WHERE temporary") == "0"; }));
  sql->run(
      fmt::format("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE "
                  "'{}%'",
                  database));
}

INSTANTIATE_TEST_SUITE_P(Free, ScarceSlotsTest, ::testing::Values(0, 1, 2));

// Run by hand (--gtest_also_run_disabled_tests): 1 M inserts of 11 columns in transactions of 1,000, then 200 k one-row
// updates, drained by peeking and by streaming into a log that forgets, and the table read; beside each what the server
// alone needs.
TEST_F(BulkTest, DISABLED_Speed) {
  sql->run(
      "CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, status text, total_cents bigint, currency text, "
      "placed_at timestamptz, "
      "note text, discount numeric(12,2), paid bool, country text, quantity int)");
  log.keep = false;
  auto now = [] { return std::chrono::steady_clock::now(); };
  auto seconds = [&](auto since) { return std::chrono::duration<double>(now() - since).count(); };
  auto cpu = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  start({"public.orders"});
  catch_up();
  stop();
  std::string second = "tributary_" + database + "_second";
  sql->run("SELECT pg_create_logical_replication_slot('" + second + "', 'pgoutput')");
  sql->run(
      "CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 0..999 LOOP INSERT INTO orders SELECT i * 1000 + "
      "j, j % 977, 'paid', j * 13, 'EUR', "
      "now(), 'a note of some length', j * 0.25, j % 2 = 0, 'DE', j % 10 FROM generate_series(1, 1000) j; COMMIT; END "
      "LOOP; "
      "FOR i IN 1..200000 LOOP UPDATE orders SET status = 'sent', quantity = i WHERE id = i; COMMIT; END LOOP; END $$");
  sql->run("SET synchronous_commit = off");
  sql->run("CALL fill()");
  sql->run("CHECKPOINT");
  auto began = now();
  // Compare with: COPY (SELECT … peek …) read raw.
  PGresult* copy = PQexec(sql->raw(), ("COPY (SELECT lsn, data FROM pg_logical_slot_peek_binary_changes('" + second +
                                       "', NULL, NULL, 'proto_version', '1', 'publication_names', 'tributary_" +
                                       database + "_acme')) TO STDOUT (FORMAT binary)")
                                          .c_str());
  PQclear(copy);
  char* line = nullptr;
  while (PQgetCopyData(sql->raw(), &line, 0) > 0) PQfreemem(line);
  while (PGresult* result = PQgetResult(sql->raw())) PQclear(result);
  fmt::print("raw peek: {:.2f} s\n", seconds(began));
  {
    std::string spare = "raw_" + second;
    sql->run("SELECT pg_copy_logical_replication_slot('" + second + "', '" + spare + "')");
    began = now();
    TestConnection raw(TestPostgres::shared().url(database) + "&replication=database");
    PQclear(PQexec(raw.raw(), ("START_REPLICATION SLOT \"" + spare +
                               "\" LOGICAL 0/0 (proto_version '2', publication_names 'tributary_" + database +
                               "_acme', streaming 'on')")
                                  .c_str()));
    size_t changes = 0;
    while (changes < 1'200'000 && PQgetCopyData(raw.raw(), &line, 0) > 0) {
      if (line[0] == 'w' && (line[25] == 'I' || line[25] == 'U')) ++changes;
      PQfreemem(line);
    }
    fmt::print("raw stream: {:.2f} s, {} changes\n", seconds(began), changes);
  }
  EXPECT_TRUE(wait_for([&] { return sql->one("SELECT count(*) FROM pg_replication_slots WHERE active") == "0"; }));
  sql->run("SELECT pg_drop_replication_slot('raw_" + second + "'), pg_drop_replication_slot('" + second + "')");
  auto drain = [&](const char* what, bool bulk, size_t wanted) {
    PostgresCaptureOptions options;
    options.bulk = bulk;
    uint64_t before = log.events;
    double cpu_before = cpu();
    auto start_at = now();
    start({"public.orders"}, options);
    wait_for(
        [&] {
          std::lock_guard lock(log.mutex);
          return log.events - before >= wanted;
        },
        120);
    fmt::print("{}: {:.2f} s, {:.2f} s of our CPU, {} events\n", what, seconds(start_at), cpu() - cpu_before,
               log.events - before);
    catch_up();
    stop();
  };
  // The slot is kept where it is by a copy of the state: drained twice.
  SourceState state = log.states["acme"];
  std::string slot = "tributary_" + database + "_acme";
  sql->run("SELECT pg_copy_logical_replication_slot('" + slot + "', 'spare_" + slot + "')");
  drain("bulk", true, 1'200'000);
  EXPECT_TRUE(wait_for(
      [&] { return sql->one("SELECT active FROM pg_replication_slots WHERE slot_name = '" + slot + "'") == "f"; }));
  sql->run("SELECT pg_drop_replication_slot('" + slot + "')");
  sql->run("SELECT pg_copy_logical_replication_slot('spare_" + slot + "', '" + slot + "')");
  sql->run("SELECT pg_drop_replication_slot('spare_" + slot + "')");
  log.states["acme"] = state;
  drain("stream", false, 1'200'000);
  PGresult* whole = PQexec(sql->raw(), "COPY orders TO STDOUT");
  PQclear(whole);
  began = now();
  while (PQgetCopyData(sql->raw(), &line, 0) > 0) PQfreemem(line);
  while (PGresult* result = PQgetResult(sql->raw())) PQclear(result);
  fmt::print("raw copy: {:.2f} s\n", seconds(began));
  PostgresCaptureOptions options;
  options.reset_clients = {ClientId("acme")};
  double cpu_before = cpu();
  began = now();
  start({"public.orders"}, options);
  catch_up();
  fmt::print("snapshot: {:.2f} s, {:.2f} s of our CPU\n", seconds(began), cpu() - cpu_before);
}

}  // namespace
}  // namespace tributary
