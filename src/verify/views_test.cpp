// Views of several operators: joins, aggregates, first rows, unions, views over views; each clean, and with a planted mistake.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "verify/source_for_test.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr LogicalType bigint{TypeId::kInt64};
constexpr LogicalType text{TypeId::kText};
constexpr LogicalType float64{TypeId::kFloat64};
constexpr LogicalType money{TypeId::kDecimal, 38, 2};

std::vector<std::string> findings_of(const ViewReport& view) {
  std::vector<std::string> out;
  for (const Finding& finding : view.samples) {
    std::string line = std::string(finding_name(finding.kind)) + " " + finding.key;
    for (const CellDifference& cell : finding.cells)
      line += " " + cell.column + ":" + cell.source + "/" + cell.analytics;
    out.push_back(line);
  }
  return out;
}

class Views : public ::testing::Test {
 protected:
  Views() : acme_("acme") {
    std::string scratch = TestServer::instance().directory() + "/scratch";
    std::filesystem::create_directory(scratch);
    request_.scratch_directory = scratch;
    acme_.run(R"(
      CREATE TABLE users (id bigint PRIMARY KEY, email text, country text);
      CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, status text, total numeric(12,2), weight float8);
      INSERT INTO users SELECT i, 'U' || i || '@Example.com', CASE i % 4 WHEN 0 THEN 'de' WHEN 1 THEN 'fr' WHEN 2 THEN 'us' END
        FROM generate_series(1, 50) i;
      INSERT INTO orders SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE i % 60 + 1 END, CASE i % 3 WHEN 0 THEN 'paid' ELSE 'new' END,
        i * 1.01, i / 7.0 FROM generate_series(1, 1000) i;)");
    request_.clients = {acme_.described({{"users", "public.users"}, {"orders", "public.orders"}})};
    request_.clients[0].attributes = {{.name = "currency", .text = "EUR"}};
    request_.domains = {{.name = "users"}, {.name = "orders"}};
    ports_ = fake_ports({&acme_});
  }

  ViewReport verified(size_t view = 0) {
    Result<VerifyReport> report = verify(request_, ports_);
    CHECK(report.ok(), "{}", report.error().message);
    EXPECT_EQ(report->clients[0].error, "");
    return report->clients[0].views.at(view);
  }

  // A view that is compared with what PostgreSQL itself answers.
  void view(const std::string& name, const std::string& sql, std::vector<OutputColumn> columns,
            std::vector<std::string> key, const std::string& answer) {
    acme_.run("CREATE TABLE analytics." + name + " AS SELECT q.*, NULL::text AS unrepresentable FROM (" + answer +
              ") AS q");
    for (const OutputColumn& column : columns) {
      acme_.run("ALTER TABLE analytics." + name + " ALTER COLUMN " + column.name + " TYPE text");
    }
    request_.views.push_back({.name = name, .sql = sql, .columns = std::move(columns), .key = std::move(key)});
  }

  void sales_over_customers() {
    view("customers", "SELECT id, lower(email) AS email, upper(country) AS country FROM users",
         {{"id", bigint}, {"email", text}, {"country", text}}, {"id"},
         "SELECT id, lower(email) AS email, upper(country) AS country FROM users");
    view("sales",
         "SELECT o.id, o.total, c.country, client.currency FROM orders o LEFT JOIN customers c ON c.id = o.user_id "
         "WHERE o.status <> 'new'",
         {{"id", bigint}, {"total", {TypeId::kDecimal, 12, 2}}, {"country", text}, {"currency", text}}, {"id"},
         "SELECT o.id, o.total, upper(country) AS country, 'EUR' AS currency FROM orders o LEFT JOIN users c ON c.id = "
         "o.user_id WHERE o.status <> 'new'");
    view("revenue",
         "SELECT country, count(*) AS orders, sum(total) AS revenue, avg(total) AS mean FROM sales GROUP BY country",
         {{"country", text}, {"orders", bigint}, {"revenue", money}, {"mean", float64}}, {"country"},
         "SELECT upper(country) AS country, count(*) AS orders, sum(total) AS revenue, avg(total)::float8 AS mean FROM "
         "orders o "
         "LEFT JOIN users c ON c.id = o.user_id WHERE status <> 'new' GROUP BY 1");
  }

  void change(const std::string& sql) { acme_.run(sql); }

  TestClient acme_;
  VerifyRequest request_;
  VerifyPorts ports_;
};

TEST_F(Views, AViewOverAView) {
  sales_over_customers();
  for (size_t i : {0, 1, 2}) {
    ViewReport report = verified(i);
    EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
    EXPECT_GT(report.source_rows, 3u);
    EXPECT_THAT(report.notes, IsEmpty());
  }
  change(R"(UPDATE analytics.sales SET total = '3.04' WHERE id = '3'; DELETE FROM analytics.sales WHERE id = '6';
            INSERT INTO analytics.sales SELECT * FROM analytics.sales WHERE id = '9')");
  EXPECT_THAT(findings_of(verified(1)),
              UnorderedElementsAre("different id=3 total:3.03/3.04", "missing id=6", "duplicate id=9"));
  EXPECT_TRUE(verified(2).clean());  // computed from the SQL, not from the analytics below
}

TEST_F(Views, ADefinitionIsNotComparedItself) {
  sales_over_customers();
  request_.views[0].compared = false;
  request_.views[1].compared = false;
  change("DELETE FROM analytics.customers; DELETE FROM analytics.sales");
  Result<VerifyReport> report = verify(request_, ports_);
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->clients[0].views.size(), 1u);
  EXPECT_EQ(report->clients[0].views[0].view, "revenue");
  EXPECT_TRUE(report->clean()) << report_text(*report);
  change("UPDATE analytics.revenue SET revenue = (revenue::numeric + 0.01)::text WHERE country = 'DE'");
  EXPECT_THAT(findings_of(verified()), ElementsAre(HasSubstr("different country=DE revenue:")));
}

TEST_F(Views, AGroupLostChangedOrTooMany) {
  sales_over_customers();
  change(R"(UPDATE analytics.revenue SET orders = (orders::int + 1)::text WHERE country IS NULL;
            DELETE FROM analytics.revenue WHERE country = 'FR';
            INSERT INTO analytics.revenue VALUES ('XX', '0', NULL, NULL, NULL);
            INSERT INTO analytics.revenue SELECT * FROM analytics.revenue WHERE country = 'US')");
  EXPECT_THAT(findings_of(verified(2)),
              UnorderedElementsAre(HasSubstr("different country=NULL orders:"), "missing country=FR",
                                   "unexpected country=XX", "duplicate country=US"));
}

TEST_F(Views, AnAverageOfDecimalsIsExactToTheLastPlace) {
  view("means",
       "SELECT user_id % 7 AS g, avg(total) AS mean, avg(id) FILTER (WHERE status = 'paid') AS ids FROM orders GROUP "
       "BY g",
       {{"g", bigint}, {"mean", float64}, {"ids", float64}}, {"g"},
       "SELECT user_id % 7 AS g, (sum(total) * 1e25 / count(total) / 1e25)::float8 AS mean, "
       "(sum(id) FILTER (WHERE status = 'paid') * 1e25 / count(id) FILTER (WHERE status = 'paid') / 1e25)::float8 AS "
       "ids "
       "FROM orders GROUP BY 1");
  ViewReport report = verified();
  EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
  std::string mean = acme_.run("SELECT mean FROM analytics.means WHERE g = '3'");
  auto set = [&](double value) {
    change("UPDATE analytics.means SET mean = '" + fmt::format("{}", value) + "' WHERE g = '3'");
    return findings_of(verified());
  };
  double exact = std::stod(mean);
  double next = std::nextafter(exact, 1e9);
  EXPECT_THAT(set(next), IsEmpty());
  EXPECT_THAT(set(std::nextafter(next, 1e9)), ElementsAre(HasSubstr("different g=3 mean:")));
  EXPECT_THAT(set(exact * (1 + 1e-6)), ElementsAre(HasSubstr("different g=3 mean:")));
}

TEST_F(Views, SumsOfDoublesThatCancel) {
  change("INSERT INTO orders VALUES (2001, 1, 'c', 0, 1e16), (2002, 1, 'c', 0, 1), (2003, 1, 'c', 0, -1e16)");
  view("weights", "SELECT status, sum(weight) AS weight, avg(weight) AS mean FROM orders GROUP BY status",
       {{"status", text}, {"weight", float64}, {"mean", float64}}, {"status"},
       "SELECT status, CASE status WHEN 'c' THEN 1 ELSE sum(weight::numeric)::float8 END AS weight, "
       "CASE status WHEN 'c' THEN 1.0::float8 / 3 ELSE avg(weight::numeric)::float8 END AS mean FROM orders GROUP BY "
       "status");
  ViewReport report = verified();
  EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
  change("UPDATE analytics.weights SET weight = '0' WHERE status = 'c'");
  EXPECT_THAT(findings_of(verified()), ElementsAre("different status=c weight:1.0/0.0"));
  change("UPDATE analytics.weights SET weight = '1', mean = (mean::float8 * (1 + 1e-6))::text");
  EXPECT_EQ(verified().findings[FindingKind::kDifferent], 3u);
}

TEST_F(Views, AViewOverASumOfDoublesDoesNotInheritAnError) {
  change("INSERT INTO orders VALUES (2001, 1, 'c', 0, 1e16), (2002, 1, 'c', 0, 1), (2003, 1, 'c', 0, -1e16)");
  view("weights", "SELECT status, sum(weight) AS weight FROM orders WHERE status = 'c' GROUP BY status",
       {{"status", text}, {"weight", float64}}, {"status"}, "SELECT 'c' AS status, 1 AS weight");
  view("doubled", "SELECT status, weight * 2 AS twice FROM weights WHERE weight > 0.5",
       {{"status", text}, {"twice", float64}}, {"status"}, "SELECT 'c' AS status, 2 AS twice");
  ViewReport report = verified(1);
  EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
}

TEST_F(Views, TheFirstOfEqualRowsIsTheLeastByTheOutputColumns) {
  change("UPDATE orders SET weight = 1, total = CASE WHEN id % 5 = 0 THEN NULL ELSE 1000 - id END");
  // `total` is the first output column that tells equal rows apart; NULLs come last.
  view("newest",
       "SELECT status, total, id FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY weight DESC) = 1",
       {{"status", text}, {"total", {TypeId::kDecimal, 12, 2}}, {"id", bigint}}, {},
       "SELECT DISTINCT ON (status) status, total, id FROM orders ORDER BY status, weight DESC, total NULLS LAST, id");
  view("all_columns", "SELECT * FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY weight) = 1",
       {{"id", bigint},
        {"user_id", bigint},
        {"status", text},
        {"total", {TypeId::kDecimal, 12, 2}},
        {"weight", float64}},
       {"status"}, "SELECT * FROM (SELECT DISTINCT ON (status) * FROM orders ORDER BY status, weight, id) q");
  view("joined",
       "SELECT u.*, o.total FROM orders o JOIN users u ON u.id = o.user_id QUALIFY row_number() OVER (PARTITION BY "
       "u.country ORDER BY o.weight) = 1",
       {{"id", bigint}, {"email", text}, {"country", text}, {"total", {TypeId::kDecimal, 12, 2}}}, {"country"},
       "SELECT DISTINCT ON (country) u.*, o.total FROM orders o JOIN users u ON u.id = o.user_id ORDER BY country, "
       "weight, u.id, "
       "total");
  view("grouped",
       "SELECT country, count(*) AS n, -max(id) AS id FROM users GROUP BY country QUALIFY row_number() OVER (ORDER BY "
       "count(*) > 1) = 1",
       {{"country", text}, {"n", bigint}, {"id", bigint}}, {},
       "SELECT 'de' AS country, count(*) AS n, -max(id) AS id FROM users WHERE country = 'de'");
  for (size_t i : {0, 1, 2, 3}) {
    ViewReport report = verified(i);
    EXPECT_TRUE(report.clean()) << report.view << report.error << ::testing::PrintToString(findings_of(report));
  }
  change(R"(UPDATE analytics.newest SET total = '3.00', id = '997' WHERE status = 'new';
            UPDATE analytics.all_columns SET id = '2' WHERE status = 'new';
            UPDATE analytics.joined SET total = (total::numeric + 60)::text WHERE country = 'de')");
  EXPECT_THAT(findings_of(verified(0)),
              ElementsAre(HasSubstr("missing status=new, total="), HasSubstr("unexpected status=new, total=3.00")));
  EXPECT_THAT(findings_of(verified(1)), ElementsAre(HasSubstr("different status=new id:1/2")));
  EXPECT_THAT(findings_of(verified(2)), ElementsAre(HasSubstr("different country=de total:")));
}

TEST_F(Views, OfEqualExtremesTheLeastValueWins) {
  change(
      "UPDATE orders SET weight = CASE WHEN id % 4 = 0 THEN NULL ELSE id % 3 END, user_id = nullif(2000 - id, 1001), "
      "total = 1000 - id");
  view("extremes",
       "SELECT status, arg_min(user_id, weight) AS least, arg_max(total, weight) FILTER (WHERE id > 10) AS most, "
       "max_by(status, weight) AS same FROM orders GROUP BY status",
       {{"status", text}, {"least", bigint}, {"most", {TypeId::kDecimal, 12, 2}}, {"same", text}}, {"status"},
       "SELECT status, (SELECT user_id FROM orders o WHERE o.status = s.status AND user_id IS NOT NULL AND weight IS "
       "NOT NULL "
       "ORDER BY weight, user_id LIMIT 1) AS least, (SELECT total FROM orders o WHERE o.status = s.status AND id > 10 "
       "AND total IS "
       "NOT NULL AND weight IS NOT NULL ORDER BY weight DESC, total LIMIT 1) AS most, status AS same FROM "
       "(SELECT DISTINCT status FROM orders) s");
  ViewReport report = verified();
  EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
  // The greatest total among the equal ones.
  change(
      "UPDATE analytics.extremes e SET most = (SELECT max(total)::text FROM orders o WHERE o.status = e.status AND id "
      "> 10 AND "
      "weight = 2 AND e.status = 'new') WHERE status = 'new'");
  EXPECT_THAT(findings_of(verified()), ElementsAre(HasSubstr("different status=new most:")));
}

TEST_F(Views, UnionsAndDistinctRows) {
  view("united", "SELECT country AS word FROM users UNION ALL SELECT status FROM orders", {{"word", text}}, {},
       "SELECT country AS word FROM users UNION ALL SELECT status FROM orders");
  view("words", "SELECT DISTINCT word FROM united", {{"word", text}}, {"word"},
       "SELECT DISTINCT word FROM (SELECT country AS word FROM users UNION ALL SELECT status FROM orders) q");
  for (size_t i : {0, 1}) EXPECT_TRUE(verified(i).clean());
  change("INSERT INTO analytics.united VALUES ('paid', NULL); DELETE FROM analytics.words WHERE word = 'de'");
  EXPECT_THAT(findings_of(verified(0)), ElementsAre("unexpected word=paid"));
  EXPECT_THAT(findings_of(verified(1)), ElementsAre("missing word=de"));
}

TEST_F(Views, AConstantOfDoublesIsNoDecimal) {
  view("scaled",
       "SELECT status, sum(total) * 1.5e0 AS more, count(DISTINCT user_id) AS users FROM orders GROUP BY status "
       "HAVING sum(total) > 1.0e0",
       {{"status", text}, {"more", float64}, {"users", bigint}}, {"status"},
       "SELECT status, (sum(total) * 1.5)::float8 AS more, count(DISTINCT user_id) AS users FROM orders GROUP BY "
       "status");
  ViewReport report = verified();
  EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
  EXPECT_THAT(report.notes, IsEmpty());
}

// 300,000 joined rows of some 130 bytes do not fit into 64 MiB; the folder for temporary files takes what is too much.
TEST_F(Views, AJoinLargerThanItsMemorySpills) {
  change("INSERT INTO orders SELECT i, i % 50 + 1, repeat(md5(i::text), 3), i, 0 FROM generate_series(5001, 305000) i");
  view("wide", "SELECT o.id, o.status, u.email, o.total FROM orders o JOIN users u ON u.id = o.user_id",
       {{"id", bigint}, {"status", text}, {"email", text}, {"total", {TypeId::kDecimal, 12, 2}}}, {"id"},
       "SELECT o.id, o.status, u.email, o.total FROM orders o JOIN users u ON u.id = o.user_id");
  view("newest", "SELECT * FROM wide QUALIFY row_number() OVER (PARTITION BY id % 1000 ORDER BY total DESC) = 1",
       {{"id", bigint}, {"status", text}, {"email", text}, {"total", {TypeId::kDecimal, 12, 2}}}, {"id"},
       "SELECT DISTINCT ON (o.id % 1000) o.id, o.status, u.email, o.total FROM orders o JOIN users u ON u.id = "
       "o.user_id ORDER BY "
       "o.id % 1000, total DESC");
  request_.memory_bytes_max = size_t{64} << 20;
  change("UPDATE analytics.wide SET total = '0' WHERE id = '300000'");
  ViewReport report = verified(0);
  EXPECT_THAT(findings_of(report), ElementsAre("different id=300000 total:300000.00/0.00")) << report.error;
  EXPECT_GT(report.source_rows, 300'000u);
  report = verified(1);
  EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
}

// A row that FILTER drops cannot fail in what is aggregated.
TEST_F(Views, AFilterGuardsWhatItsAggregateComputes) {
  change("UPDATE orders SET status = id::text WHERE id % 5 = 0");
  view("codes",
       "SELECT user_id, sum(CAST(status AS BIGINT)) FILTER (WHERE status NOT IN ('new', 'paid')) AS n, "
       "arg_max(id, CAST(status AS BIGINT)) FILTER (WHERE id % 5 = 0) AS most, "
       "avg(CAST(status AS DOUBLE)) FILTER (WHERE id % 5 = 0) AS mean FROM orders GROUP BY user_id",
       {{"user_id", bigint}, {"n", {TypeId::kDecimal, 38, 0}}, {"most", bigint}, {"mean", float64}}, {"user_id"},
       "SELECT user_id, sum(id) FILTER (WHERE id % 5 = 0) AS n, max(id) FILTER (WHERE id % 5 = 0) AS most, "
       "avg(id) FILTER (WHERE id % 5 = 0)::float8 AS mean FROM orders GROUP BY user_id");
  ViewReport report = verified();
  EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
  change("UPDATE analytics.codes SET most = (most::bigint + 1)::text WHERE user_id = '6'");
  EXPECT_THAT(findings_of(verified()), ElementsAre(HasSubstr("different user_id=6 most:")));
}

// A view's table has fewer types than DuckDB: what reads the view sees those of the table, here a decimal and a text.
TEST_F(Views, AViewAboveSeesTheTypesOfTheTableBelow) {
  constexpr LogicalType whole{TypeId::kDecimal, 38, 0};
  view("totals", "SELECT status, sum(user_id) AS n, make_time(1, 2, 3.0) AS moment FROM orders GROUP BY status",
       {{"status", text}, {"n", whole}, {"moment", text}}, {"status"},
       "SELECT status, sum(user_id) AS n, '01:02:03' AS moment FROM orders GROUP BY status");
  view("kinds", "SELECT status, typeof(n) AS kind, length(moment) AS size FROM totals",
       {{"status", text}, {"kind", text}, {"size", bigint}}, {"status"},
       "SELECT DISTINCT status, 'DECIMAL(38,0)' AS kind, 8 AS size FROM orders");
  for (size_t i : {0, 1}) {
    ViewReport report = verified(i);
    EXPECT_TRUE(report.clean()) << report.error << ::testing::PrintToString(findings_of(report));
  }
  change("UPDATE analytics.totals SET n = (n::numeric + 1)::text WHERE status = 'new'");
  EXPECT_THAT(findings_of(verified(0)), ElementsAre(HasSubstr("different status=new n:")));
}

// A row that does not fit into memory, a table that is gone: what needs them is not compared, by name; the others are.
TEST_F(Views, ATableThatCannotBeReadLeavesTheOthersCompared) {
  sales_over_customers();
  view("paid", "SELECT id, total FROM orders WHERE status = 'paid'", {{"id", bigint}, {"total", money}}, {"id"},
       "SELECT id, total FROM orders WHERE status = 'paid'");
  size_t paid = request_.views.size() - 1;
  request_.memory_bytes_max = size_t{64} << 20;
  acme_.run("INSERT INTO users VALUES (99, repeat(md5('1'), 3 << 20), NULL)");
  EXPECT_THAT(verified(0).error, ::testing::AllOf(HasSubstr("public.users could not be read: "), HasSubstr("--memory"),
                                                  Not(HasSubstr("SET memory_limit"))));
  EXPECT_THAT(verified(1).error, HasSubstr("public.users could not be read"));
  EXPECT_TRUE(verified(paid).clean()) << verified(paid).error;
  EXPECT_GT(verified(paid).source_rows, 300u);
  request_.live = true;  // what differs is read again from a snapshot that lacks the table too
  change("UPDATE analytics.paid SET total = '0' WHERE id = '3'");
  EXPECT_THAT(findings_of(verified(paid)), ElementsAre(HasSubstr("different id=3")));

  acme_.run("ALTER TABLE users RENAME TO people");
  EXPECT_THAT(verified(0).error, HasSubstr("the source has no table public.users"));
  EXPECT_THAT(findings_of(verified(paid)), ElementsAre(HasSubstr("different id=3")));
}

TEST_F(Views, ABrokenViewNamesThoseAboveIt) {
  sales_over_customers();
  request_.views[0].sql = "SELECT id, nosuch AS email, country FROM users";
  EXPECT_THAT(verified(0).error, HasSubstr("nosuch"));
  EXPECT_THAT(verified(1).error, HasSubstr("the view reads customers, which cannot be computed"));
  EXPECT_THAT(verified(2).error, HasSubstr("the view reads sales, which cannot be computed"));
  // A client without the table has none of the views above it.
  request_.views[0].sql = "SELECT id, email, country FROM users";
  request_.clients[0].tables.erase("users");
  Result<VerifyReport> report = verify(request_, ports_);
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->clients[0].views, IsEmpty());
}

}  // namespace
}  // namespace tributary
