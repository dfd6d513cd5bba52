// Rows that views of several operators cannot compute: exactly those that fail and are dead letters are excepted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "verify/source_for_test.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr LogicalType bigint{TypeId::kInt64};
constexpr LogicalType text{TypeId::kText};
constexpr LogicalType numeric{TypeId::kDecimal, 38, 18};

std::vector<std::string> findings_of(const ViewReport& view) {
  std::vector<std::string> out;
  for (const Finding& finding : view.samples) {
    out.push_back(std::string(finding_name(finding.kind)) + " " + finding.key);
    for (const CellDifference& cell : finding.cells)
      out.back() += " " + cell.column + ":" + cell.source + "/" + cell.analytics;
  }
  return out;
}

class DeadRows : public ::testing::Test {
 protected:
  DeadRows() : acme_("acme") {
    std::string scratch = TestServer::instance().directory() + "/scratch";
    std::filesystem::create_directory(scratch);
    request_.scratch_directory = scratch;
    acme_.run(R"(
      CREATE TABLE users (id bigint PRIMARY KEY, country text);
      CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, amount text, total numeric);
      INSERT INTO users VALUES (1, 'de'), (2, 'fr'), (3, 'us');
      INSERT INTO orders SELECT i, i % 3 + 1, i::text, i FROM generate_series(1, 600) i;)");
    request_.clients = {acme_.described({{"users", "public.users"}, {"orders", "public.orders"}})};
    request_.domains = {{.name = "users"}, {.name = "orders"}};
    ports_ = fake_ports({&acme_});
    ports_.dead_rows = [this](const ClientId&, const std::string& view) -> Result<std::vector<VerifyDeadLetter>> {
      return dead_[view];
    };
  }

  ViewReport verified(size_t view = 0) {
    Result<VerifyReport> report = verify(request_, ports_);
    CHECK(report.ok(), "{}", report.error().message);
    EXPECT_EQ(report->clients[0].error, "");
    return report->clients[0].views.at(view);
  }

  // By what PostgreSQL answers, without the orders that `left_out` names.
  void amounts_by_country(const std::string& left_out) {
    request_.views = {
        {.name = "amounts",
         .sql = "SELECT u.country, sum(CAST(o.amount AS BIGINT)) AS amount, count(*) AS n FROM orders o JOIN users u "
                "ON u.id = o.user_id GROUP BY u.country",
         .columns = {{"country", text}, {"amount", {TypeId::kDecimal, 38, 0}}, {"n", bigint}},
         .key = {"country"}}};
    acme_.run(
        "CREATE TABLE analytics.amounts AS SELECT country, sum(amount::bigint)::text AS amount, count(*)::text AS n, "
        "NULL::text AS unrepresentable FROM orders o JOIN users u ON u.id = user_id WHERE o.id NOT IN (" +
        left_out + ") GROUP BY country");
  }

  void totals_by_country() {
    request_.views = {
        {.name = "totals",
         .sql = "SELECT u.country, sum(o.total) AS total, count(o.total) AS n FROM orders o JOIN users u ON u.id = "
                "o.user_id GROUP BY u.country",
         .columns = {{"country", text}, {"total", numeric}, {"n", bigint}},
         .key = {"country"}}};
    acme_.run(
        "CREATE TABLE analytics.totals AS SELECT country, sum(total)::text AS total, count(total)::text AS n, "
        "NULL::text AS unrepresentable FROM orders o JOIN users u ON u.id = user_id GROUP BY country");
  }

  TestClient acme_;
  std::map<std::string, std::vector<VerifyDeadLetter>> dead_;
  VerifyRequest request_;
  VerifyPorts ports_;
};

TEST_F(DeadRows, ARowThatFailsCountsAsAbsentWhereItIsADeadLetter) {
  acme_.run("UPDATE orders SET amount = 'x' WHERE id IN (7, 300)");
  amounts_by_country("7, 300");
  ViewReport view = verified();
  EXPECT_THAT(findings_of(view), UnorderedElementsAre("failed orders id=300", "failed orders id=7")) << view.error;
  EXPECT_THAT(view.samples[0].reason, HasSubstr("Could not convert string 'x'"));
  dead_["amounts"] = {{"orders", {"7"}}};
  EXPECT_THAT(findings_of(verified()), ElementsAre("failed orders id=300"));
  dead_["amounts"].push_back({"orders", {"300"}});
  view = verified();
  EXPECT_TRUE(view.clean()) << view.error << ::testing::PrintToString(findings_of(view));
  EXPECT_EQ(view.excepted, 2u);
  EXPECT_THAT(view.excepted_keys, UnorderedElementsAre("orders id=300", "orders id=7"));
  acme_.run("UPDATE analytics.amounts SET amount = (amount::int + 1)::text WHERE country = 'fr'");
  EXPECT_THAT(findings_of(verified()), ElementsAre(HasSubstr("different country=fr amount:")));
}

TEST_F(DeadRows, ADeadLetterOfARowThatComputesHidesNothing) {
  amounts_by_country("7");
  dead_["amounts"] = {{"orders", {"7"}}, {"orders", {"100000"}}, {"users", {"9"}}, {"amounts", {"xx"}}};
  ViewReport view = verified();
  EXPECT_THAT(findings_of(view), ElementsAre(HasSubstr("different country=fr amount:")));
  EXPECT_EQ(view.excepted, 0u);
  // Nor does that of a group.
  acme_.run("UPDATE orders SET amount = 'x' WHERE id = 7; DELETE FROM analytics.amounts WHERE country = 'us'");
  dead_["amounts"].push_back({"amounts", {"us"}});
  EXPECT_THAT(findings_of(verified()), ElementsAre("missing country=us"));
}

TEST_F(DeadRows, OfOneViewOnly) {
  acme_.run("UPDATE orders SET amount = 'x' WHERE id = 7");
  amounts_by_country("7");
  dead_["amounts"] = {{"orders", {"7"}}};
  request_.views.push_back({.name = "counts",
                            .sql = "SELECT user_id, count(*) AS n FROM orders GROUP BY user_id",
                            .columns = {{"user_id", bigint}, {"n", bigint}},
                            .key = {"user_id"}});
  acme_.run(
      "CREATE TABLE analytics.counts AS SELECT user_id::text, count(*)::text AS n, NULL::text AS u FROM orders GROUP "
      "BY 1");
  EXPECT_TRUE(verified(0).clean());
  EXPECT_TRUE(verified(1).clean());
}

TEST_F(DeadRows, AreAbsentForTheViewsAbove) {
  acme_.run("UPDATE orders SET amount = 'x' WHERE id = 7");
  request_.views = {{.name = "parsed",
                     .sql = "SELECT id, user_id, CAST(amount AS BIGINT) AS amount FROM orders",
                     .columns = {{"id", bigint}, {"user_id", bigint}, {"amount", bigint}},
                     .key = {"id"}},
                    {.name = "sums",
                     .sql = "SELECT user_id, sum(amount) AS amount FROM parsed GROUP BY user_id",
                     .columns = {{"user_id", bigint}, {"amount", {TypeId::kDecimal, 38, 0}}},
                     .key = {"user_id"}}};
  acme_.run(
      "CREATE TABLE analytics.parsed AS SELECT id::text, user_id::text, amount, NULL::text AS u FROM orders WHERE id "
      "<> 7;"
      "CREATE TABLE analytics.sums AS SELECT user_id::text, sum(amount::int)::text, NULL::text AS u FROM orders WHERE "
      "id "
      "<> 7 GROUP BY 1");
  EXPECT_THAT(findings_of(verified(0)), ElementsAre("failed id=7"));
  EXPECT_TRUE(verified(1).clean());
  dead_["parsed"] = {{"orders", {"7"}}};
  EXPECT_TRUE(verified(0).clean());
  EXPECT_TRUE(verified(1).clean());
  acme_.run("UPDATE analytics.sums SET sum = '1' WHERE user_id = '2'");
  EXPECT_THAT(findings_of(verified(1)), ElementsAre(HasSubstr("different user_id=2 amount:")));
  // A row of a view below may be the dead letter, too.
  request_.views[1].sql =
      "SELECT user_id, sum(CAST(CASE WHEN amount = 9 THEN 'y' ELSE CAST(amount AS VARCHAR) END AS BIGINT)) AS "
      "amount FROM parsed GROUP BY user_id";
  EXPECT_THAT(findings_of(verified(1)), testing::Contains("failed parsed id=9"));
  dead_["sums"] = {{"parsed", {"9"}}};
  EXPECT_THAT(findings_of(verified(1)), ::testing::Not(testing::Contains("failed parsed id=9")));
}

TEST_F(DeadRows, AValueThatItsTypeCannotHoldPassesThroughAJoin) {
  acme_.run("UPDATE orders SET total = 'NaN' WHERE id = 5; UPDATE orders SET total = 'Infinity' WHERE id = 6");
  request_.views = {{.name = "joined",
                     .sql = "SELECT o.id, o.total AS t, u.country FROM orders o LEFT JOIN users u ON u.id = o.user_id",
                     .columns = {{"id", bigint}, {"t", numeric}, {"country", text}},
                     .key = {"id"}},
                    {.name = "values",
                     .sql = "SELECT t, count(*) AS n FROM joined WHERE id < 20 GROUP BY t",
                     .columns = {{"t", numeric}, {"n", bigint}},
                     .key = {"t"}}};
  acme_.run(R"(
    CREATE TABLE analytics.joined AS SELECT o.id::text, CASE WHEN o.id IN (5, 6) THEN NULL ELSE total::text END AS total, country,
      CASE WHEN o.id IN (5, 6) THEN '{"t":"' || total || '"}' END AS u FROM orders o JOIN users u ON u.id = o.user_id;
    CREATE TABLE analytics.values AS SELECT CASE WHEN id IN (5, 6) THEN NULL ELSE total::text END AS t, 1 AS n,
      CASE WHEN id IN (5, 6) THEN '{"t":"' || total || '"}' END AS u FROM orders WHERE id < 20;)");
  for (size_t i : {0, 1}) {
    ViewReport view = verified(i);
    EXPECT_TRUE(view.clean()) << view.error << ::testing::PrintToString(findings_of(view));
  }
  acme_.run(
      R"(UPDATE analytics.joined SET u = NULL WHERE id = '5'; UPDATE analytics.joined SET u = '{"t":"-Infinity"}' WHERE id = '6';
               UPDATE analytics.values SET n = 2 WHERE u LIKE '%NaN%')");
  EXPECT_THAT(findings_of(verified(0)),
              UnorderedElementsAre("different id=5 t:NaN/NULL", "different id=6 t:Infinity/-Infinity"));
  EXPECT_THAT(findings_of(verified(1)), ElementsAre("different t=NaN n:1/2"));
}

TEST_F(DeadRows, AGroupThatWouldNeedAValueThatCannotBeHeld) {
  acme_.run("UPDATE orders SET total = 'NaN' WHERE id = 3");  // 'de'
  totals_by_country();
  acme_.run(
      "UPDATE analytics.totals SET total = (SELECT sum(total)::text FROM orders WHERE user_id = 1 AND id <> 3) WHERE "
      "country = 'de'");
  ViewReport view = verified();
  // Without NaN it is wrong, whatever it says.
  EXPECT_THAT(findings_of(view), UnorderedElementsAre("unexpected country=de", "failed country=de")) << view.error;
  dead_["totals"] = {{"totals", {"de"}}};
  EXPECT_THAT(findings_of(verified()), ElementsAre("unexpected country=de"));
  acme_.run("DELETE FROM analytics.totals WHERE country = 'de'");
  view = verified();
  EXPECT_TRUE(view.clean()) << view.error << ::testing::PrintToString(findings_of(view));
  EXPECT_THAT(view.excepted_keys, ElementsAre("country=de"));
  dead_.clear();
  EXPECT_THAT(findings_of(verified()), ElementsAre("failed country=de"));
}

// DuckDB's 128 bits hold more than the 38 digits of a decimal: such a group is a dead letter of the pipeline's.
TEST_F(DeadRows, AGroupWhoseSumHasMoreThan38Digits) {
  acme_.run(R"(CREATE TABLE wide (id bigint PRIMARY KEY, country text, d numeric(38,2));
    INSERT INTO wide VALUES (1, 'de', 6e35), (2, 'de', 6e35), (3, 'fr', 9e35), (4, 'us', -6e35), (5, 'us', -6e35);
    CREATE TABLE analytics.sums AS SELECT 'fr' AS country, '900000000000000000000000000000000000.00' AS s,
      '90000000000000000000000000000000000000' AS whole, NULL::text AS u)");
  request_.clients = {acme_.described({{"wide", "public.wide"}})};
  request_.domains = {{.name = "wide"}};
  request_.views = {
      {.name = "sums",
       .sql = "SELECT country, sum(d) AS s, sum(CAST(d AS HUGEINT)) * 100 AS whole FROM wide GROUP BY country",
       .columns = {{"country", text}, {"s", {TypeId::kDecimal, 38, 2}}, {"whole", {TypeId::kDecimal, 38, 0}}},
       .key = {"country"}}};
  EXPECT_THAT(findings_of(verified()), UnorderedElementsAre("failed country=de", "failed country=us"));
  dead_["sums"] = {{"sums", {"de"}}, {"sums", {"us"}}};
  ViewReport view = verified();
  EXPECT_TRUE(view.clean()) << view.error << ::testing::PrintToString(findings_of(view));
  EXPECT_THAT(view.excepted_keys, UnorderedElementsAre("country=de", "country=us"));
}

// What is beyond 128 bits costs its group, and not the view. The pipeline's averages have no bound.
TEST_F(DeadRows, AGroupWhoseSumIsBeyond128Bits) {
  acme_.run(R"(CREATE TABLE wide (id bigint PRIMARY KEY, country text, d numeric(38,2));
    INSERT INTO wide SELECT i, 'de', 9e35 FROM generate_series(1, 100) i;
    INSERT INTO wide VALUES (101, 'fr', 9e35);
    CREATE TABLE analytics.sums AS SELECT 'fr' AS country, '900000000000000000000000000000000000.00' AS s, NULL::text AS u;
    CREATE TABLE analytics.means AS SELECT country, '9e35' AS mean, NULL::text AS u FROM wide GROUP BY country)");
  request_.clients = {acme_.described({{"wide", "public.wide"}})};
  request_.domains = {{.name = "wide"}};
  request_.views = {{.name = "sums",
                     .sql = "SELECT country, sum(d) AS s FROM wide GROUP BY country HAVING count(*) > 0",
                     .columns = {{"country", text}, {"s", {TypeId::kDecimal, 38, 2}}},
                     .key = {"country"}},
                    {.name = "means",
                     .sql = "SELECT country, avg(d) AS mean FROM wide GROUP BY country",
                     .columns = {{"country", text}, {"mean", {TypeId::kFloat64}}},
                     .key = {"country"}}};
  EXPECT_THAT(findings_of(verified()), ElementsAre("failed country=de"));
  ViewReport means = verified(1);
  EXPECT_TRUE(means.clean()) << means.error << ::testing::PrintToString(findings_of(means));
  dead_["sums"] = {{"sums", {"de"}}};
  ViewReport view = verified();
  EXPECT_TRUE(view.clean()) << view.error << ::testing::PrintToString(findings_of(view));
}

TEST_F(DeadRows, CountsDoNotDependOnTheValue) {
  acme_.run("UPDATE orders SET total = 'NaN' WHERE id = 3");
  request_.views = {
      {.name = "counts",
       .sql = "SELECT user_id, count(total) AS n, count(DISTINCT total) AS d FROM orders GROUP BY user_id",
       .columns = {{"user_id", bigint}, {"n", bigint}, {"d", bigint}},
       .key = {"user_id"}}};
  acme_.run(
      "CREATE TABLE analytics.counts AS SELECT user_id::text, count(total)::text AS n, count(DISTINCT total)::text AS "
      "d, "
      "NULL::text AS u FROM orders GROUP BY 1");
  ViewReport view = verified();
  EXPECT_TRUE(view.clean()) << view.error << ::testing::PrintToString(findings_of(view));
  acme_.run("UPDATE analytics.counts SET n = '199' WHERE user_id = '1'");
  EXPECT_THAT(findings_of(verified()), ElementsAre("different user_id=1 n:200/199"));
}

TEST_F(DeadRows, SqlThatFailsForNoSingleRowIsNamed) {
  request_.views = {
      {.name = "big", .sql = "SELECT CAST(sum(id) AS SMALLINT) AS n FROM orders", .columns = {{"n", bigint}}}};
  acme_.run("CREATE TABLE analytics.big (n text, u text)");
  EXPECT_THAT(verified().error, HasSubstr("the view's SQL fails: "));
  EXPECT_THAT(findings_of(verified()), IsEmpty());
}

}  // namespace
}  // namespace tributary
