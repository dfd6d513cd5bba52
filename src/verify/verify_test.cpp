#include "verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "verify/source_for_test.h"

namespace tributary {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::vector<OutputColumn> order_columns = {
    {"id", {TypeId::kInt64}}, {"status", {TypeId::kText}}, {"total", {TypeId::kDecimal, 12, 2}}};

constexpr const char* order_rows = R"(
  CREATE TABLE orders (id bigint PRIMARY KEY, status text, total numeric(12,2));
  INSERT INTO orders SELECT i, CASE i % 3 WHEN 0 THEN 'paid' WHEN 1 THEN E'ne\tw' END, i * 1.5 FROM generate_series(1, {}) i;
  CREATE TABLE analytics.orders AS SELECT id::text, status, total::float8::text AS total, NULL AS unrepresentable FROM orders;
)";

std::vector<std::string> findings_of(const ViewReport& view) {
  std::vector<std::string> out;
  for (const Finding& finding : view.samples) {
    std::string text(finding_name(finding.kind));
    text += " " + finding.key;
    for (const CellDifference& cell : finding.cells)
      text += " " + cell.column + ":" + cell.source + "/" + cell.analytics;
    out.push_back(text);
  }
  return out;
}

class Verify : public ::testing::Test {
 protected:
  Verify() {
    scratch_ = TestServer::instance().directory() + "/scratch";
    std::filesystem::create_directory(scratch_);
    request_.scratch_directory = scratch_;
    request_.domains = {{.name = "orders"}};
    request_.views = {{.name = "orders", .sql = "SELECT * FROM orders", .columns = order_columns}};
  }

  // Of clients that all have public.orders.
  void use(const std::vector<TestClient*>& clients) {
    for (TestClient* client : clients) request_.clients.push_back(client->described({{"orders", "public.orders"}}));
    ports_ = fake_ports(clients);
  }

  VerifyReport verified() {
    Result<VerifyReport> report = verify(request_, ports_);
    CHECK(report.ok(), "{}", report.error().message);
    return std::move(report).value();
  }

  std::string scratch_;
  VerifyRequest request_;
  VerifyPorts ports_;
};

TEST_F(Verify, EqualTablesAreClean) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 70'000));  // more than one batch
  use({&acme});
  VerifyReport report = verified();
  EXPECT_TRUE(report.clean()) << report_text(report);
  EXPECT_EQ(report.clients[0].views[0].source_rows, 70'000u);
  EXPECT_EQ(report.clients[0].views[0].analytics_rows, 70'000u);
  EXPECT_GT(report.clients[0].mark, 0u);
  EXPECT_THAT(report_text(report), HasSubstr("acme orders: 70000 rows, equal"));
}

TEST_F(Verify, FindsARowChangedLostDoubledAndTooMany) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 1000));
  use({&acme});
  acme.run(R"(UPDATE analytics.orders SET total = '1.51' WHERE id = '7';
              DELETE FROM analytics.orders WHERE id = '8';
              INSERT INTO analytics.orders SELECT * FROM analytics.orders WHERE id = '9';
              INSERT INTO analytics.orders VALUES ('2000', 'ghost', '1', NULL);
              UPDATE analytics.orders SET status = '' WHERE id = '2';
              INSERT INTO analytics.orders VALUES ('10', 'again', '1', NULL);)");
  VerifyReport report = verified();
  const ViewReport& view = report.clients[0].views[0];
  EXPECT_THAT(findings_of(view),
              ::testing::UnorderedElementsAre("missing id=8", "unexpected id=2000", "different id=2 status:NULL/",
                                              "different id=7 total:10.50/1.51", "duplicate id=9", "duplicate id=10"));
  EXPECT_TRUE(report.different());
  EXPECT_FALSE(report.clean());
  EXPECT_THAT(report_json(report), HasSubstr(R"("findings":{"different":2,"duplicate":2,"missing":1,"unexpected":1})"));
}

TEST_F(Verify, FindsARowSwappedBetweenClients) {
  TestClient acme("acme");
  TestClient globex("globex");
  acme.run(fmt::format(order_rows, 10));
  globex.run(fmt::format(order_rows, 10));
  for (auto [client, status] : {std::pair{&acme, "of acme"}, std::pair{&globex, "of globex"}}) {
    client->run(fmt::format("UPDATE orders SET status = '{0}' WHERE id = 5", status));
  }
  acme.run("UPDATE analytics.orders SET status = 'of globex' WHERE id = '5'");
  globex.run("UPDATE analytics.orders SET status = 'of acme' WHERE id = '5'");
  use({&acme, &globex});
  VerifyReport report = verified();
  EXPECT_THAT(findings_of(report.clients[0].views[0]), Contains("different id=5 status:of acme/of globex"));
  EXPECT_THAT(findings_of(report.clients[1].views[0]), Contains("different id=5 status:of globex/of acme"));
}

TEST_F(Verify, AClientThatIsAwayIsNamedAndTheOthersGoOn) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 10));
  use({&acme});
  request_.clients.insert(request_.clients.begin(), {.client = ClientId("gone"),
                                                     .url = "postgresql://nobody@/none?host=/tmp/no-such-folder",
                                                     .password = "canary",
                                                     .tables = {{"orders", "public.orders"}}});
  VerifyReport report = verified();
  EXPECT_THAT(report.clients[0].error, HasSubstr("could not connect"));
  EXPECT_THAT(report_text(report), ::testing::Not(HasSubstr("canary")));
  EXPECT_TRUE(report.clients[1].views[0].clean());
  EXPECT_FALSE(report.clean());
  EXPECT_FALSE(report.different());
}

TEST_F(Verify, ASourceThatGoesAwayInTheMiddleIsAnErrorOfThatClient) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 400'000));
  use({&acme});
  ports_.progress = [&](const VerifyProgress&) {
    acme.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tributary verify'");
    return Status();
  };
  VerifyReport report = verified();
  EXPECT_THAT(report.clients[0].error, HasSubstr("public.orders")) << report_text(report);
  EXPECT_THAT(report.clients[0].views[0].findings, IsEmpty());
  EXPECT_FALSE(report.clients[0].views[0].clean()) << "it was not compared";
  EXPECT_THAT(report_text(report), Not(HasSubstr("equal")));
  EXPECT_FALSE(report.clean());
}

TEST_F(Verify, ReadsNoFurtherOnceItsCallerSaysThatThereIsNothingToJudge) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 400));
  use({&acme});
  request_.source_rows_per_second = 100;
  std::vector<uint64_t> told;
  ports_.progress = [&](const VerifyProgress& progress) {
    told.push_back(progress.rows);
    return told.size() < 2 ? Status() : Status(Error{ErrorCode::kUnavailable, "the pipeline has ended"});
  };
  VerifyReport report = verified();
  EXPECT_THAT(told, ElementsAre(100, 100)) << "a piece of a second's rows, and again while the rate has it wait";
  EXPECT_THAT(report.clients[0].error, HasSubstr("the pipeline has ended"));
  EXPECT_FALSE(report.clean());
  EXPECT_FALSE(report.different());
}

TEST_F(Verify, AViewWithFilterComputedColumnsAndAttributes) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 300));
  use({&acme});
  request_.clients[0].attributes = {{.name = "currency", .text = "EUR"},
                                    {.name = "factor", .type = {TypeId::kFloat64}, .text = "1.5"}};
  request_.views = {{.name = "sales",
                     .sql =
                         "SELECT o.id AS number, upper(status) AS status, total * 2 AS twice, CAST(total AS DOUBLE) * "
                         "client.factor AS scaled, client.currency FROM orders AS o WHERE o.status IS NOT NULL",
                     .columns = {{"number", {TypeId::kInt64}},
                                 {"status", {TypeId::kText}},
                                 {"twice", {TypeId::kDecimal, 13, 2}},
                                 {"scaled", {TypeId::kFloat64}},
                                 {"currency", {TypeId::kText}}}}};
  acme.run(
      "CREATE TABLE analytics.sales AS SELECT id::text AS number, upper(status) AS status, (total * 2)::text AS twice, "
      "(total * "
      "1.5)::text AS scaled, 'EUR' AS currency, NULL AS unrepresentable FROM orders WHERE status IS NOT NULL");
  VerifyReport report = verified();
  EXPECT_TRUE(report.clean()) << report_text(report);
  EXPECT_EQ(report.clients[0].views[0].source_rows, 200u);

  acme.run("UPDATE analytics.sales SET scaled = (scaled::numeric * (1 + 1e-12))::text");
  EXPECT_TRUE(verified().clean());
  acme.run("UPDATE analytics.sales SET scaled = (scaled::numeric * (1 + 1e-6))::text WHERE number = '4'");
  EXPECT_EQ(findings_of(verified().clients[0].views[0]).size(), 1u);
  acme.run("UPDATE orders SET status = NULL WHERE id = 3");  // left the filter
  EXPECT_THAT(findings_of(verified().clients[0].views[0]), Contains("unexpected number=3"));

  request_.clients[0].attributes.clear();
  EXPECT_THAT(verified().clients[0].views[0].error, HasSubstr("names client.factor"));
}

TEST_F(Verify, ExactlyTheDeadLettersAreExcepted) {
  TestClient acme("acme");
  acme.run(
      "CREATE TABLE orders (id bigint PRIMARY KEY, status text, total numeric); INSERT INTO orders VALUES "
      "(1, '10', 1.5), (2, 'x', 2), (3, '30', 'NaN'), (4, '40', 4), (5, 'y', 5), (6, '60', 'Infinity'), (7, '70', 7);"
      "CREATE TABLE analytics.numbers(id text, number text, twice text, unrepresentable text);"
      "INSERT INTO analytics.numbers VALUES ('1', '10', '3'), ('4', '40', '8')");
  use({&acme});
  request_.views = {
      {.name = "numbers",
       .sql = "SELECT id, CAST(status AS INTEGER) AS number, total * 2 AS twice FROM orders",
       .columns = {{"id", {TypeId::kInt64}}, {"number", {TypeId::kInt32}}, {"twice", {TypeId::kDecimal, 38, 18}}}}};
  ports_.dead_rows = [](const ClientId&, const std::string&) -> Result<std::vector<VerifyDeadLetter>> {
    return std::vector<VerifyDeadLetter>{{"orders", {"2"}}, {"orders", {"3"}}, {"orders", {"7"}}};
  };
  ViewReport view = verified().clients[0].views[0];
  ASSERT_EQ(view.error, "");
  // 7 could be computed, and is excepted all the same; 5 and 6 are not dead letters.
  EXPECT_THAT(findings_of(view), ::testing::ElementsAre("failed id=5", "failed id=6"));
  EXPECT_THAT(view.samples[0].reason, HasSubstr("Could not convert string 'y'"));
  EXPECT_THAT(view.samples[1].reason, HasSubstr("Infinity of total"));
  EXPECT_EQ(view.excepted, 3u);
  EXPECT_THAT(view.excepted_keys, ::testing::UnorderedElementsAre("id=2", "id=3", "id=7"));

  // Withdrawn means absent, or right.
  acme.run(
      "DELETE FROM orders WHERE id IN (5, 6); INSERT INTO analytics.numbers VALUES ('7', '70', '14'), ('2', '2', '4')");
  view = verified().clients[0].views[0];
  EXPECT_THAT(findings_of(view), ::testing::ElementsAre("unexpected id=2"));
  EXPECT_EQ(view.excepted, 2u);
}

TEST_F(Verify, AViewWithoutItsKeyIsAMultiset) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 90));
  use({&acme});
  request_.views = {{.name = "plain",
                     .sql = "SELECT status, CAST(id % 4 AS DOUBLE) / 3 AS share FROM orders",
                     .columns = {{"status", {TypeId::kText}}, {"share", {TypeId::kFloat64}}}}};
  acme.run(
      "CREATE TABLE analytics.plain AS SELECT status, ((id % 4)::float8 / 3 * (1 + 1e-13))::text AS share, NULL AS "
      "unrepresentable FROM orders");
  VerifyReport report = verified();
  EXPECT_TRUE(report.clean()) << report_text(report);
  acme.run("INSERT INTO analytics.plain SELECT * FROM analytics.plain WHERE status = 'paid' LIMIT 1");
  EXPECT_THAT(findings_of(verified().clients[0].views[0]),
              ::testing::ElementsAre(HasSubstr("unexpected status=paid, share=")));
  acme.run("DELETE FROM analytics.plain WHERE status = 'paid'");
  EXPECT_EQ(verified().clients[0].views[0].findings[FindingKind::kMissing], 30u);
}

TEST_F(Verify, JoinsAndAggregatesRunInBatch) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 90));
  use({&acme});
  request_.views = {
      {.name = "by_status",
       .sql = "SELECT coalesce(status, client.none) AS status, count(*) AS n, sum(total) AS total "
              "FROM orders GROUP BY ALL",
       .columns = {{"status", {TypeId::kText}}, {"n", {TypeId::kInt64}}, {"total", {TypeId::kDecimal, 38, 2}}}}};
  request_.clients[0].attributes = {{.name = "none", .text = "-"}};
  acme.run(
      "CREATE TABLE analytics.by_status AS SELECT coalesce(status, '-') AS status, count(*)::text AS n, "
      "sum(total)::text, NULL "
      "AS unrepresentable FROM orders GROUP BY 1");
  VerifyReport report = verified();
  EXPECT_TRUE(report.clean()) << report_text(report);
  acme.run("UPDATE analytics.by_status SET n = '31' WHERE status = 'paid'");
  EXPECT_EQ(findings_of(verified().clients[0].views[0]).size(), 2u);
}

TEST_F(Verify, TheUnionOfClientsColumnsAndRenamedOnes) {
  TestClient acme("acme");
  acme.run(
      "CREATE TABLE orders (\"client_id\" integer, \"_v\" text, id integer, \"odd \"\" name\" text, gone integer "
      "GENERATED "
      "ALWAYS AS (id * 2) STORED, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
      "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE high PARTITION OF orders FOR VALUES FROM (10) TO (20);"
      "INSERT INTO orders VALUES (1, 'a', 5, 'x'), (2, 'b', 15, NULL);"
      "CREATE TABLE analytics.orders AS SELECT client_id::text, _v, id::text, \"odd \"\" name\", NULL AS other, NULL "
      "AS u "
      "FROM orders");
  use({&acme});
  std::vector<OutputColumn> columns = {{"client_id_", {TypeId::kInt32}},
                                       {"_v_", {TypeId::kText}},
                                       {"id", {TypeId::kInt64}},
                                       {"odd \" name", {TypeId::kText}},
                                       {"other", {TypeId::kInt32}}};
  request_.domains = {{.name = "orders", .columns = columns, .key = {"id"}}};
  request_.views[0].columns = columns;
  VerifyReport report = verified();
  EXPECT_TRUE(report.clean()) << report_text(report);
  EXPECT_THAT(report.clients[0].views[0].notes,
              ::testing::ElementsAre("orders: the source's table has no column other"));
  acme.run("UPDATE analytics.orders SET _v = 'B' WHERE id = '15'");
  EXPECT_THAT(findings_of(verified().clients[0].views[0]), ::testing::ElementsAre("different id=15 _v_:b/B"));
}

TEST_F(Verify, ATypeThatACastWouldHideIsSaid) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 10));
  use({&acme});
  request_.views = {{.name = "d",
                     .sql = "SELECT id, total * 1.5e0 AS more FROM orders",
                     .columns = {{"id", {TypeId::kInt64}}, {"more", {TypeId::kDecimal, 14, 3}}}}};
  acme.run("CREATE TABLE analytics.d AS SELECT id::text, (total * 1.5)::text AS more, NULL AS u FROM orders");
  ViewReport view = verified().clients[0].views[0];
  EXPECT_TRUE(view.clean());
  EXPECT_THAT(view.notes, ::testing::ElementsAre("the SQL gives DOUBLE for more, and the pipeline has decimal(14,3)"));
}

TEST_F(Verify, ABadViewOrTableIsNamedAndTheOthersAreCompared) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 10));
  use({&acme});
  VerifyView good = request_.views[0];
  request_.views = {{.name = "broken", .sql = "SELECT nosuch FROM orders", .columns = {{"nosuch", {TypeId::kText}}}},
                    {.name = "short", .sql = "SELECT id FROM orders", .columns = order_columns},
                    {.name = "absent", .sql = "SELECT id FROM elsewhere", .columns = {{"id", {TypeId::kInt64}}}},
                    {.name = "nonsense", .sql = "SELECT FROM WHERE", .columns = {{"id", {TypeId::kInt64}}}},
                    good};
  VerifyReport report = verified();
  const std::vector<ViewReport>& views = report.clients[0].views;
  ASSERT_EQ(views.size(), 5u);
  EXPECT_THAT(views[0].error, HasSubstr("nosuch"));
  EXPECT_THAT(views[1].error, HasSubstr("gives 1 columns, and the pipeline has 3"));
  EXPECT_THAT(views[2].error, HasSubstr("elsewhere, which is no domain"));
  EXPECT_THAT(views[3].error, HasSubstr("syntax error"));
  EXPECT_TRUE(views[4].clean());
  request_.clients[0].tables["orders"] = "public.nosuch";
  EXPECT_THAT(verified().clients[0].views[4].error, HasSubstr("no table public.nosuch"));
}

TEST_F(Verify, GoesOnWhereItStoppedByItsStateFile) {
  TestClient acme("acme");
  TestClient globex("globex");
  acme.run(fmt::format(order_rows, 10));
  globex.run(fmt::format(order_rows, 10));
  globex.run("DELETE FROM analytics.orders WHERE id = '4'");
  use({&acme, &globex});
  request_.state_file = scratch_ + "/state.json";
  VerifyReport first = verified();
  EXPECT_TRUE(first.clients[0].views[0].clean());
  EXPECT_FALSE(first.clients[1].views[0].clean());
  globex.run("INSERT INTO analytics.orders SELECT id::text, status, total::text, NULL FROM orders WHERE id = 4");
  VerifyReport second = verified();
  EXPECT_TRUE(second.clean());
  EXPECT_TRUE(second.clients[0].views[0].skipped);
  EXPECT_FALSE(second.clients[1].views[0].skipped);
  EXPECT_FALSE(std::filesystem::exists(request_.state_file));
}

TEST_F(Verify, AStateFileOfOtherViewsSaysNothing) {
  TestClient acme("acme");
  acme.run(fmt::format(order_rows, 10));
  use({&acme});
  request_.clients.push_back(request_.clients[0]);
  request_.clients[1].client = ClientId("nobody");
  request_.clients[1].tables["orders"] = "public.nosuch";
  request_.state_file = scratch_ + "/state.json";
  verified();
  EXPECT_TRUE(verified().clients[0].views[0].skipped);
  request_.views[0].sql += " WHERE id > 0";
  EXPECT_FALSE(verified().clients[0].views[0].skipped);
}

TEST_F(Verify, AFileOfOthersIsNoStateFile) {
  TestClient acme("acme");
  use({&acme});
  request_.state_file = scratch_ + "/letter.txt";
  std::ofstream(request_.state_file) << "Dear all";
  auto report = verify(request_, ports_);
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.error().message, HasSubstr("letter.txt is there and was not written by verify"));
  std::string text;
  std::getline(std::ifstream(request_.state_file) >> std::ws, text);
  EXPECT_EQ(text, "Dear all");
}

}  // namespace
}  // namespace tributary
