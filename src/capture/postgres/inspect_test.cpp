#include "capture/postgres/inspect.h"

#include <gtest/gtest.h>

#include "capture/postgres/postgres_for_test.h"

namespace tributary {
namespace {

TEST(Inspect, DescribesTablesKeysAndRights) {
  TestPostgres& server = TestPostgres::shared();
  std::string database = server.make_database();
  TestConnection owner(server.url(database));
  owner.run(R"(
    CREATE TABLE orders (id bigint, region text, total numeric, twice numeric GENERATED ALWAYS AS (total * 2) STORED,
                         PRIMARY KEY (region, id));
    INSERT INTO orders SELECT i, 'eu', i FROM generate_series(1, 500) i;
    ANALYZE orders;
    CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE UNLOGGED TABLE cache (id int PRIMARY KEY);
    CREATE TABLE "odd "" name" (a int NOT NULL, b int);
    CREATE UNIQUE INDEX odd_a ON "odd "" name" (a);
    ALTER TABLE "odd "" name" REPLICA IDENTITY USING INDEX odd_a;
    CREATE SCHEMA other;
    CREATE TABLE other.nothing (id int);
    ALTER TABLE other.nothing REPLICA IDENTITY NOTHING;
    CREATE TEMP TABLE passing (id int);
    CREATE TABLE postponed (id int PRIMARY KEY DEFERRABLE);
    CREATE VIEW v AS SELECT 1;)");
  auto found = inspect_database(server.url(database), "");
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->database, database);
  EXPECT_EQ(found->server_version / 10000, 15);
  EXPECT_FALSE(found->wal_level.empty());
  EXPECT_GT(found->replication_slots_max, 0);
  EXPECT_TRUE(found->user_is_superuser);
  ASSERT_EQ(found->tables.size(), 7u);
  const DescribedTable& nothing = found->tables[0];
  EXPECT_EQ(nothing.schema, "other");
  EXPECT_EQ(nothing.replica_identity, 'n');
  EXPECT_TRUE(nothing.primary_key.empty());
  const DescribedTable& cache = found->tables[1];
  EXPECT_EQ(cache.name, "cache");
  EXPECT_TRUE(cache.unlogged);
  const DescribedTable& odd = found->tables[2];
  EXPECT_EQ(odd.name, "odd \" name");
  EXPECT_EQ(odd.replica_identity, 'i');
  EXPECT_EQ(odd.identity_columns, std::vector<std::string>{"a"});
  const DescribedTable& orders = found->tables[3];
  EXPECT_EQ(orders.columns, (std::vector<std::string>{"id", "region", "total"}));
  EXPECT_EQ(orders.primary_key, (std::vector<std::string>{"region", "id"}));
  EXPECT_EQ(orders.rows_estimated, 500);
  EXPECT_TRUE(orders.readable);
  const DescribedTable& parts = found->tables[4];
  EXPECT_TRUE(parts.partitioned);
  EXPECT_EQ(parts.primary_key, std::vector<std::string>{"id"});
  EXPECT_FALSE(parts.key_deferrable);
  EXPECT_EQ(found->tables[5].name, "postponed");
  EXPECT_TRUE(found->tables[5].key_deferrable);
  EXPECT_EQ(found->tables[6].kind, 'v');
}

TEST(Inspect, AUserWithoutRights) {
  TestPostgres& server = TestPostgres::shared();
  std::string database = server.make_database();
  TestConnection owner(server.url(database));
  owner.run("CREATE TABLE t (id int PRIMARY KEY); DROP ROLE IF EXISTS looker; CREATE ROLE looker LOGIN");
  std::string url = server.url(database);
  url += (url.find('?') == std::string::npos ? "?" : "&") + std::string("user=looker");
  auto found = inspect_database(url, "");
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->user, "looker");
  EXPECT_FALSE(found->user_may_replicate);
  EXPECT_FALSE(found->user_is_superuser);
  ASSERT_EQ(found->tables.size(), 1u);
  EXPECT_FALSE(found->tables[0].readable);
}

TEST(Inspect, SaysWhatIsWrongWithoutSecrets) {
  auto in_url = inspect_database("postgresql://someone:canary@localhost/db", "");
  ASSERT_FALSE(in_url.ok());
  EXPECT_EQ(in_url.error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(in_url.error().message.find("canary"), std::string::npos);
  auto away = inspect_database("postgresql://someone@/db?host=/nonexistent", "canary");
  ASSERT_FALSE(away.ok());
  EXPECT_EQ(away.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(away.error().message.find("canary"), std::string::npos);
}

}  // namespace
}  // namespace tributary
