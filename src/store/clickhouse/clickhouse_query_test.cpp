// A client's queries against the real engine: its own current rows, and nothing of any other client by any way.
#include "store/clickhouse/clickhouse_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "engine/temporary_engine.h"
#include "store/clickhouse/clickhouse_store.h"
#include "store/clickhouse/query_gate.h"

namespace tributary {
namespace {

// Two clients, one row each; the other's has a value that must never be seen.
constexpr const char* canary = "canary7351";

class ClickHouseQueriesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ClickHouseStore store({.socket = TemporaryEngine::shared().socket()});
    TableDefinition table{.name = "orders",
                          .columns = {{"id", {TypeId::kInt64}, false}, {"note", {TypeId::kText}, true}},
                          .order_by = {"id"}};
    TableDefinition secret = table;
    secret.name = "canary7351_view";  // in nobody's plan but beta's
    std::vector<ClientId> clients = {ClientId("acme"), ClientId("beta")};
    ASSERT_TRUE(store.prepare({&table, 1}, clients).ok());
    ASSERT_TRUE(store.prepare({&secret, 1}, {&clients[1], 1}).ok());
    OutputBatch batch{.clients = clients, .client_of_row = {0, 1}};
    batch.columns.emplace_back(LogicalType{TypeId::kInt64});
    batch.columns.emplace_back(LogicalType{TypeId::kText});
    for (int64_t id : {1, 2}) batch.columns[0].append_fixed<int64_t>(id);
    for (const char* note : {"mine", canary}) batch.columns[1].append_bytes(note);
    batch.keys = {"1", "2"};
    batch.versions = {Version::of_checkpoint(1, 1), Version::of_checkpoint(1, 1)};
    batch.deleted = {0, 0};
    auto encoded = store.encode(table, batch);
    ASSERT_TRUE(encoded.ok());
    std::string_view rows = *encoded;
    auto inserted = store.insert("orders", {&rows, 1});
    ASSERT_TRUE(inserted.ok()) << inserted.error().to_string();
  }

  Result<std::string> ask(const std::string& sql, const std::string& format = "TabSeparated") {
    std::string out;
    Status status = queries_.query({ClientId("acme"), sql, format}, [&](std::string_view piece) { out += piece; });
    if (!status.ok()) return std::move(status).error();
    return out;
  }

  ClickHouseQueries queries_{{.socket = TemporaryEngine::shared().socket()}, {}};
};

TEST_F(ClickHouseQueriesTest, AClientSeesItsRows) {
  auto expect = [&](const char* sql, const char* expected) {
    auto got = ask(sql);
    ASSERT_TRUE(got.ok()) << sql << ": " << got.error().to_string();
    EXPECT_EQ(*got, expected) << sql;
  };
  expect("SELECT * FROM orders", "1\tmine\t{}\n");
  expect("SELECT id, note FROM acme.orders;", "1\tmine\n");
  expect("-- a comment\nWITH t AS (SELECT * FROM orders) SELECT count() FROM t AS x JOIN orders AS o ON o.id = x.id",
         "1\n");
  expect("SELECT 1 + 1", "2\n");
  expect("SELECT id FROM orders FORMAT JSONEachRow", "{\"id\":1}\n");
  expect("SELECT nan AS n, -inf AS i FORMAT JSONEachRow", "{\"n\":\"nan\",\"i\":\"-inf\"}\n");
  expect("SELECT id FROM orders FORMAT CSVWithNames", "\"id\"\n1\n");
  expect("SELECT sum(number) FROM numbers(4)", "6\n");
  expect("SHOW TABLES", "orders\n");
  expect("(SELECT 1) UNION ALL (SELECT 1)", "1\n1\n");
  expect("SELECT id FROM orders WHERE id IN (SELECT id FROM orders)", "1\n");
  expect("SELECT `note` AS \"n\" FROM `orders`", "mine\n");
  expect("SELECT currentDatabase()", "acme\n");
  auto described = ask("DESCRIBE TABLE orders");
  ASSERT_TRUE(described.ok()) << described.error().to_string();
  EXPECT_NE(described->find("note\tNullable(String)"), std::string::npos);
  EXPECT_EQ(described->find("_version"), std::string::npos);
}

TEST_F(ClickHouseQueriesTest, LargeResultsStream) {
  auto got = ask("SELECT number FROM numbers(1000000)");
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(std::count(got->begin(), got->end(), '\n'), 1'000'000);
  auto json = ask("SELECT number FROM numbers(200000) FORMAT JSON");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->find("\"meta\""), json->rfind("\"meta\"")) << "one document, not one a block";
}

TEST_F(ClickHouseQueriesTest, AttacksAreRefusedAlike) {
  const char* attacks[] = {
      "SELECT * FROM beta.orders",
      "SELECT * FROM `beta`.`orders`",
      "SELECT * FROM \"beta\".orders",
      "SELECT * FROM _tributary.orders",
      "SELECT * FROM _tributary.orders FINAL",
      "SELECT * FROM merge('_tributary', '.*')",
      "SELECT * FROM merge('.*', 'orders')",
      "SELECT * FROM merge(REGEXP('.*'), 'orders')",
      "SELECT * FROM remote('127.0.0.1', beta, orders)",
      "SELECT * FROM remote('127.0.0.1', beta.orders)",
      "SELECT * FROM cluster('default', beta.orders)",
      "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
      "SELECT * FROM file('/etc/passwd', LineAsString)",
      "SELECT file('/etc/passwd')",
      "SELECT * FROM s3('http://127.0.0.1:1/x', CSV, 'a String')",
      "SELECT * FROM executable('cat', TSV, 'a String')",
      "SELECT * FROM loop(beta.orders)",
      "SELECT * FROM view(SELECT * FROM beta.orders)",
      "SELECT * FROM mergeTreeIndex(_tributary, orders)",
      "SELECT * FROM dictionary('beta.orders')",
      "SELECT * FROM system.tables",
      "SELECT * FROM system.columns",
      "SELECT * FROM system.parts",
      "SELECT * FROM system.query_log",
      "SELECT * FROM system.settings",
      "SELECT * FROM system.one",
      "SELECT * FROM information_schema.tables",
      "SELECT * FROM INFORMATION_SCHEMA.TABLES",
      "USE beta",
      "SET max_threads = 1",
      "SELECT 1; USE beta; SELECT * FROM orders",
      "SELECT 1; DROP TABLE _tributary.orders",
      "SELECT * FROM orders SETTINGS additional_table_filters = {}",
      "SELECT * FROM (SELECT * FROM orders SETTINGS max_threads = 1)",
      "SELECT * FROM orders FORMAT JSON SETTINGS max_threads = 1",
      "SELECT * FROM orders WHERE id IN (SELECT id FROM beta.orders)",
      "SELECT * FROM orders WHERE id IN beta.orders",
      "SELECT (SELECT any(note) FROM beta.orders)",
      "WITH x AS (SELECT * FROM beta.orders) SELECT * FROM x",
      "SELECT 1 UNION ALL SELECT id FROM beta.orders",
      "SELECT * FROM orders AS a JOIN beta.orders AS b ON 1 = 1",
      "EXPLAIN SELECT * FROM beta.orders",
      "EXPLAIN AST SELECT * FROM beta.orders",
      "EXPLAIN optimize = 1 SELECT * FROM beta.orders",
      "DESCRIBE TABLE beta.orders",
      "DESC beta.orders",
      "SHOW TABLES FROM beta",
      "SHOW TABLES FROM nobody",
      "SHOW DATABASES",
      "SHOW CREATE TABLE orders",
      "SHOW CREATE TABLE beta.orders",
      "SHOW PROCESSLIST",
      "EXISTS TABLE beta.orders",
      "CHECK TABLE _tributary.orders",
      "SELECT hasColumnInTable('beta', 'orders', 'id')",
      "SELECT joinGet('beta.orders', 'note', 1)",
      "SELECT dictGet('beta.orders', 'note', 1)",
      "SELECT getSetting('max_threads')",
      "SELECT hostName()",
      "SELECT user()",
      "SELECT sleep(3)",
      "SELECT * FROM orders INTO OUTFILE '/tmp/canary7351'",
      "SELECT * FROM orders into/**/outfile '/tmp/canary7351' FORMAT CSV",
      "INSERT INTO orders VALUES (1)",
      "INSERT INTO _tributary.orders SELECT * FROM _tributary.orders",
      "WITH x AS (SELECT 1) INSERT INTO orders SELECT * FROM x",
      "CREATE TABLE t (a Int32) ENGINE = Memory",
      "CREATE TEMPORARY TABLE t (a Int32)",
      "CREATE VIEW v AS SELECT * FROM beta.orders",
      "DROP TABLE orders",
      "ALTER TABLE orders DELETE WHERE 1",
      "TRUNCATE TABLE orders",
      "KILL QUERY WHERE 1",
      "SYSTEM SHUTDOWN",
      "BACKUP DATABASE beta TO File('/tmp/canary7351')",
      "ATTACH TABLE t FROM '/tmp' (a Int32) ENGINE = File(CSV)",
      "GRANT ALL ON *.* TO default",
      "SELECT `a\nTableIdentifier x` FROM beta.orders",
      "SELECT * FROM {t:Identifier}",
      "SELECT * FROM beta.canary7351_view",
  };
  for (const char* sql : attacks) {
    auto got = ask(sql);
    ASSERT_FALSE(got.ok()) << sql << " answered " << *got;
    EXPECT_EQ(got.error().message.find(canary), std::string::npos) << sql << ": " << got.error().message;
    bool unreadable = got.error().code == ErrorCode::kInvalidInput;  // ClickHouse cannot even parse it
    EXPECT_TRUE(unreadable || got.error().to_string() == refusal().to_string()) << sql << ": " << got.error().message;
  }
  EXPECT_NE(access("/tmp/canary7351", F_OK), 0);
}

TEST_F(ClickHouseQueriesTest, ASyntaxErrorIsAtItsPlaceInTheQueryAsItWasWritten) {
  auto place = [&](const char* sql) { return ask(sql).error().message; };
  EXPECT_THAT(place("SELECT"), testing::HasSubstr("failed at position 7 (end of query)"));
  EXPECT_THAT(place("SELECT 1 FRM orders WHERE"), testing::HasSubstr("failed at position 14 (orders)"));
  EXPECT_THAT(place("SELECT 1\nFROM 1 1"), testing::HasSubstr("(line 2, col "));
}

// Errors must not name what is not the client's: ClickHouse guesses at similar names of all databases.
TEST_F(ClickHouseQueriesTest, ErrorsTellNothingOfOthers) {
  for (const char* sql : {"SELECT * FROM canary7351_vie", "SELECT * FROM order", "SELECT not3 FROM orders",
                          "SELECT * FROM acme.canary7351_view", "DESCRIBE TABLE canary7351_view"}) {
    auto got = ask(sql);
    ASSERT_FALSE(got.ok()) << sql;
    EXPECT_EQ(got.error().code, ErrorCode::kInvalidInput) << sql << got.error().message;
    EXPECT_EQ(got.error().message.find("Maybe"), std::string::npos) << got.error().message;
    EXPECT_EQ(got.error().message.find("beta"), std::string::npos) << got.error().message;
  }
}

// The walls behind the gate: the engine's own row filters, grants and readonly mode, asked without it.
TEST_F(ClickHouseQueriesTest, TheEngineAloneHidesRows) {
  ClickHouseHttp http({.socket = TemporaryEngine::shared().socket()});
  auto direct = [&](const char* sql, const char* readonly) {
    return http.read({.sql = sql, .parameters = {{"database", "acme"}, {"readonly", readonly}}});
  };
  for (const char* readonly : {"1", "2"}) {
    for (const char* sql : {
             "SELECT * FROM beta.orders",
             "SELECT * FROM _tributary.orders",
             "SELECT * FROM _tributary.orders FINAL",
             "SELECT note FROM merge('_tributary', '^orders')",
             "SELECT note FROM merge(REGEXP('.*'), '^orders')",
             "SELECT (SELECT groupArray(note) FROM _tributary.orders)",
             "SELECT * FROM orders WHERE note IN (SELECT note FROM _tributary.orders)",
             "SELECT * FROM loop(_tributary.orders) LIMIT 5",
             "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT * FROM beta.orders))",
             "SELECT note FROM _tributary.orders PREWHERE throwIf(note = 'canary7351') = 0",
             "SELECT note FROM _tributary.orders WHERE throwIf(note = 'canary7351') = 0",
             "SELECT * FROM mergeTreeIndex('_tributary', 'orders')",
             "SELECT name FROM system.tables WHERE name LIKE '%view'",
             "SELECT table FROM system.parts",
             "SELECT query FROM system.processes WHERE query NOT LIKE '%processes%'",
             "SELECT * FROM file('../data/**', RawBLOB)",
             "SELECT * FROM remote('127.0.0.1', _tributary, orders)",
             "USE _tributary",
             "SELECT 1; USE _tributary; SELECT * FROM orders; broken(",
             "SELECT * FROM orders INTO OUTFILE '/tmp/canary7351'",
         }) {
      auto got = direct(sql, readonly);
      std::string seen = got.ok() ? *got : got.error().message;
      // An error may repeat the statement's own text; that of throwIf says that a row was seen.
      EXPECT_EQ(seen.find(got.ok() ? canary : "is non-zero"), std::string::npos) << sql << ": " << seen;
    }
  }
  EXPECT_EQ(*direct("SELECT count() FROM _tributary.orders", "1"), "1\n");
  EXPECT_FALSE(direct("USE _tributary", "1").ok());
  EXPECT_FALSE(direct("DROP TABLE _tributary.orders", "1").ok());
  EXPECT_NE(access("/tmp/canary7351", F_OK), 0);
}

TEST_F(ClickHouseQueriesTest, LimitsEndAQuery) {
  ClickHouseQueries small(
      {.socket = TemporaryEngine::shared().socket()},
      {.execution_time_max = std::chrono::seconds(1), .memory_bytes_max = 50 << 20, .result_rows_max = 1000});
  auto run = [&](const char* sql) { return small.query({ClientId("acme"), sql, ""}, [](std::string_view) {}); };
  Status slow = run("SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1");
  ASSERT_FALSE(slow.ok());
  EXPECT_EQ(slow.error().code, ErrorCode::kTimeout) << slow.error().to_string();
  Status fat = run("SELECT uniqExact(number) FROM numbers(100000000)");
  ASSERT_FALSE(fat.ok());
  EXPECT_EQ(fat.error().code, ErrorCode::kResourceExhausted) << fat.error().to_string();
  Status long_result = run("SELECT number FROM numbers(100000)");
  ASSERT_FALSE(long_result.ok());
}

TEST_F(ClickHouseQueriesTest, WhatDoesNotParseIsToldSo) {
  for (const char* sql : {"SELEC 1", "", "SELECT FROM WHERE", "orders", "DROP TABEL orders"}) {
    auto got = ask(sql);
    ASSERT_FALSE(got.ok()) << sql;
    EXPECT_EQ(got.error().code, ErrorCode::kInvalidInput) << sql << ": " << got.error().message;
    EXPECT_NE(got.error().message.find("Syntax error"), std::string::npos) << sql << ": " << got.error().message;
  }
}

TEST(QueryGate, Statements) {
  EXPECT_EQ(read_statement("SELECT 1 FORMAT JSON;")->format, "JSON");
  EXPECT_EQ(read_statement("SELECT 1 FORMAT JSON;")->text, "SELECT 1 ");
  EXPECT_EQ(read_statement("SELECT format FROM t")->text, "SELECT format FROM t");
  EXPECT_FALSE(read_statement("SELECT 1; SELECT 2").ok());
  EXPECT_FALSE(read_statement("SELECT 'open").ok());
  EXPECT_EQ(read_statement("").error().code, ErrorCode::kInvalidInput);
  EXPECT_TRUE(read_statement("/* SELECT */ DROP TABLE x")->refused);
  EXPECT_FALSE(read_statement("SELECT 1")->refused);
}

TEST(QueryGate, Trees) {
  EXPECT_TRUE(check_tree("SelectWithUnionQuery (children 1)\n ExpressionList (children 1)\n", "acme").ok());
  EXPECT_FALSE(check_tree("SelectWithUnionQuery (children 2)\n", "acme").ok());
  EXPECT_FALSE(check_tree("", "acme").ok());
  EXPECT_FALSE(check_tree("DropQuery  orders (children 1)\n", "acme").ok());
  EXPECT_FALSE(check_tree("SelectWithUnionQuery (children 1)\n TableIdentifier acme2.orders\n", "acme").ok());
  EXPECT_TRUE(check_tree("SelectWithUnionQuery (children 1)\n TableIdentifier acme.orders (alias o)\n", "acme").ok());
}

}  // namespace
}  // namespace tributary
