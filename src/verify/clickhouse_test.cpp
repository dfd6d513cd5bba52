// The validator's questions against the real ClickHouse, asked as a client through the gate: what the store wrote of a source's
// values is read back as these values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/temporary_engine.h"
#include "store/clickhouse/clickhouse_query.h"
#include "store/clickhouse/clickhouse_store.h"
#include "verify/source_for_test.h"

namespace tributary {
namespace {

constexpr int64_t second = 1'000'000;

const std::vector<OutputColumn> columns = {
    {"id", {TypeId::kInt64}, false},
    {"u", {TypeId::kUuid}, false},
    {"flag", {TypeId::kBool}},
    {"small", {TypeId::kInt16}},
    {"f4", {TypeId::kFloat32}},
    {"f8", {TypeId::kFloat64}},
    {"price", {TypeId::kDecimal, 12, 2}},
    {"n", {TypeId::kDecimal, 38, 18}},
    {"big", {TypeId::kBigDecimal, 60, 5}},
    {"d", {TypeId::kDate}},
    {"ts", {TypeId::kTimestamp}},
    {"tz", {TypeId::kTimestampTz}},
    {"text `a\"b", {TypeId::kText}},
    {"b", {TypeId::kBytes}},
    {"j", {TypeId::kJson}},
};

class AgainstClickHouse : public ::testing::Test {
 protected:
  AgainstClickHouse() : acme_("acme") {
    acme_.run(R"(
      CREATE TABLE t (id bigint, u uuid, flag boolean, small smallint, f4 real, f8 double precision, price numeric(12,2), n numeric,
                      big numeric(60,5), d date, ts timestamp, tz timestamptz, "text `a""b" text, b bytea, j jsonb,
                      PRIMARY KEY (id, u));
      INSERT INTO t VALUES
        (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, -5, 0.1, 1e-300, 12.5, 0.000000000000000001,
         1234567890123456789012345678901234567890.123, '2024-02-29', '2024-02-29 23:59:59.999999', '1969-12-31 23:59:59.5+00',
         E'tab\t \\ \n \\N '' ü€', '\x00ff0a095c', '{"a": [1, null]}'),
        (2, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', NULL, NULL, 'NaN', '-Infinity', 'NaN', 'Infinity', 'NaN', '0044-03-15 BC',
         'infinity', '9999-12-31 00:00:00+00', NULL, NULL, NULL),
        (3, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', NULL, NULL, NULL, '-0', NULL, NULL, NULL, '5000-01-01', '0001-01-01 BC',
         '-infinity', '', '', 'null');)");
    std::string scratch = TestServer::instance().directory() + "/scratch";
    std::filesystem::create_directory(scratch);
    request_.scratch_directory = scratch;
    request_.clients = {acme_.described({{"t", "public.t"}})};
    request_.domains = {{.name = "t", .columns = columns, .key = {"id", "u"}}};
    request_.views = {{.name = "t", .sql = "SELECT * FROM t", .columns = columns}};
    ports_.analytics = [this](const ClientId& client, std::string_view sql, std::string_view format,
                              const std::function<void(std::string_view)>& out) {
      return queries_.query({client, std::string(sql), std::string(format)}, out);
    };
  }

  void write(uint64_t version, int16_t small_of_first) {
    std::vector<ClientId> clients = {ClientId("acme"), ClientId("globex")};
    OutputBatch batch{.clients = clients};
    for (const OutputColumn& column : columns) batch.columns.emplace_back(column.type);
    auto& c = batch.columns;
    std::string uuid = "\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11";
    for (int row = 0; row < 3; ++row, ++uuid.back()) {
      c[0].append_fixed<int64_t>(row + 1);
      c[1].append_bytes(uuid);
    }
    c[2].append_fixed<uint8_t>(1);
    c[3].append_fixed<int16_t>(small_of_first);
    c[4].append_fixed<float>(0.1F);
    c[5].append_fixed<double>(1e-300);
    c[6].append_fixed<Int128>(1250);
    c[7].append_fixed<Int128>(1);
    c[8].append_bytes("1234567890123456789012345678901234567890.12300");
    c[9].append_fixed<int32_t>(days_from_civil(2024, 2, 29));
    c[10].append_fixed<int64_t>(days_from_civil(2024, 3, 1) * 86'400 * second - 1);
    c[11].append_fixed<int64_t>(-second / 2);
    c[12].append_bytes("tab\t \\ \n \\N ' ü€");
    c[13].append_bytes(std::string("\x00\xff\x0a\x09\x5c", 5));
    c[14].append_bytes("{\"a\": [1, null]}");
    // What the types of the pipeline cannot hold …
    c[2].append_null();
    c[3].append_null();
    c[4].append_fixed<float>(std::nanf(""));
    c[5].append_fixed<double>(-INFINITY);
    c[6].append_text("NaN");
    c[7].append_text("Infinity");
    c[8].append_text("NaN");
    c[9].append_fixed<int32_t>(days_from_civil(-43, 3, 15));
    c[10].append_text("infinity");
    c[11].append_fixed<int64_t>(int64_t{days_from_civil(9999, 12, 31)} * 86'400 * second);
    for (size_t i = 12; i < 15; ++i) c[i].append_null();
    // … and what only ClickHouse's cannot.
    for (size_t i : {2, 3, 4, 6, 7, 8}) c[i].append_null();
    c[5].append_fixed<double>(-0.0);
    c[9].append_fixed<int32_t>(days_from_civil(5000, 1, 1));
    c[10].append_fixed<int64_t>(int64_t{days_from_civil(0, 1, 1)} * 86'400 * second);
    c[11].append_text("-infinity");
    c[12].append_bytes("");
    c[13].append_bytes("");
    c[14].append_bytes("null");
    for (int row = 0; row < 3; ++row) {
      batch.client_of_row.push_back(0);
      batch.keys.push_back(fmt::format("k{}", row));
      batch.versions.push_back(Version::of_checkpoint(0, version));
      batch.deleted.push_back(0);
    }
    TableDefinition table{.name = "t", .columns = columns, .order_by = {"id", "u"}};
    ASSERT_TRUE(store_.prepare({&table, 1}, clients).ok());
    auto encoded = store_.encode(table, batch);
    ASSERT_TRUE(encoded.ok());
    std::string_view piece = *encoded;
    ASSERT_TRUE(store_.insert("t", {&piece, 1}).ok());
  }

  ViewReport verified() {
    Result<VerifyReport> report = verify(request_, ports_);
    CHECK(report.ok(), "{}", report.error().message);
    EXPECT_EQ(report->clients[0].error, "");
    return report->clients[0].views.at(0);
  }

  TestClient acme_;
  VerifyRequest request_;
  VerifyPorts ports_;
  ClickHouseStore store_{{.socket = TemporaryEngine::shared().socket()}};
  ClickHouseQueries queries_{{.socket = TemporaryEngine::shared().socket()}, {}};
};

TEST_F(AgainstClickHouse, EveryTypeIsReadBack) {
  write(1, -5);
  for (bool live : {false, true}) {
    request_.live = live;
    ViewReport view = verified();
    EXPECT_TRUE(view.clean()) << report_text({{{.client = ClientId("acme"), .views = {view}}}});
    EXPECT_EQ(view.source_rows, 3u);
  }
}

// Groups whose table is in ClickHouse, with a NULL in a key, an average and a sum that only exact arithmetic gives.
TEST_F(AgainstClickHouse, GroupsOverAViewAreReadBackAndReadAgain) {
  acme_.run(R"(
    CREATE TABLE sales (id bigint PRIMARY KEY, region text, price numeric(12,2), weight float8);
    INSERT INTO sales VALUES (1, 'eu', 0.10, 1e16), (2, 'eu', 0.20, 1), (3, 'eu', 0.40, -1e16), (4, NULL, 9999999999.99, 0.1),
                             (5, NULL, 0.02, 0.2), (6, 'us', NULL, NULL))");
  const std::vector<OutputColumn> group_columns = {{"region", {TypeId::kText}},
                                                   {"price", {TypeId::kDecimal, 38, 2}},
                                                   {"mean", {TypeId::kFloat64}},
                                                   {"weight", {TypeId::kFloat64}}};
  request_.clients = {acme_.described({{"sales", "public.sales"}})};
  request_.domains = {{.name = "sales", .key = {"id"}}};
  request_.views = {{.name = "priced",
                     .sql = "SELECT id, region, price, weight FROM sales",
                     .columns = {{"id", {TypeId::kInt64}},
                                 {"region", {TypeId::kText}},
                                 {"price", {TypeId::kDecimal, 12, 2}},
                                 {"weight", {TypeId::kFloat64}}},
                     .key = {"id"},
                     .compared = false},
                    {.name = "regions",
                     .sql = "SELECT region, sum(price) AS price, avg(price) AS mean, sum(weight) AS weight "
                            "FROM priced GROUP BY region",
                     .columns = group_columns,
                     .key = {"region"}}};
  std::vector<ClientId> clients = {ClientId("acme")};
  TableDefinition table{.name = "regions", .columns = group_columns, .order_by = {"region"}};
  ASSERT_TRUE(store_.prepare({&table, 1}, clients).ok());
  auto write_groups = [&](uint64_t version, double mean, Int128 cents) {
    OutputBatch batch{.clients = clients};
    for (const OutputColumn& column : group_columns) batch.columns.emplace_back(column.type);
    auto& c = batch.columns;
    c[0].append_bytes("eu");
    c[1].append_fixed<Int128>(70);
    c[2].append_fixed<double>(mean);
    c[3].append_fixed<double>(1);
    c[0].append_null();
    c[1].append_fixed<Int128>(cents);
    c[2].append_fixed<double>(5000000000.005);
    c[3].append_fixed<double>(0.1 + 0.2);
    c[0].append_bytes("us");
    for (size_t i : {1, 2, 3}) c[i].append_null();
    for (int row = 0; row < 3; ++row) {
      batch.client_of_row.push_back(0);
      batch.keys.push_back(fmt::format("g{}", row));
      batch.versions.push_back(Version::of_checkpoint(0, version));
      batch.deleted.push_back(0);
    }
    auto encoded = store_.encode(table, batch);
    ASSERT_TRUE(encoded.ok());
    std::string_view piece = *encoded;
    ASSERT_TRUE(store_.insert("regions", {&piece, 1}).ok());
  };
  write_groups(1, 0.7 / 3, 1'000'000'000'001);
  for (bool live : {false, true}) {
    request_.live = live;
    ViewReport view = verified();
    EXPECT_TRUE(view.clean()) << report_text({{{.client = ClientId("acme"), .views = {view}}}});
    EXPECT_EQ(view.source_rows, 3u);
  }
  write_groups(2, 0.7 / 3 * (1 + 1e-6), 1'000'000'000'002);
  for (bool live : {false, true}) {
    request_.live = live;
    ViewReport view = verified();
    ASSERT_EQ(view.samples.size(), 2u) << view.error;
    EXPECT_EQ(view.samples[0].key, "region=eu");
    EXPECT_EQ(view.samples[0].cells.at(0).column, "mean");
    EXPECT_EQ(view.samples[1].key, "region=NULL");
    EXPECT_EQ(view.samples[1].cells.at(0).source, "10000000000.01");
    EXPECT_EQ(view.samples[1].cells.at(0).analytics, "10000000000.02");
  }
}

TEST_F(AgainstClickHouse, ADifferenceIsFoundAndReadAgainByKey) {
  write(2, -6);
  std::vector<std::string> questions;
  auto ask = ports_.analytics;
  ports_.analytics = [&](const ClientId& client, std::string_view sql, std::string_view format,
                         const std::function<void(std::string_view)>& out) {
    questions.emplace_back(sql);
    return ask(client, sql, format, out);
  };
  request_.live = true;
  ViewReport view = verified();
  ASSERT_EQ(view.error, "");
  ASSERT_EQ(view.samples.size(), 1u);
  EXPECT_EQ(view.samples[0].key, "id=1, u=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
  ASSERT_EQ(view.samples[0].cells.size(), 1u);
  EXPECT_EQ(view.samples[0].cells[0].source, "-5");
  EXPECT_EQ(view.samples[0].cells[0].analytics, "-6");
  EXPECT_EQ(view.rounds, request_.attempts);
  EXPECT_THAT(questions.back(),
              ::testing::HasSubstr("WHERE (`id`, `u`) IN ((1, toUUID('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')))"));
}

}  // namespace
}  // namespace tributary
