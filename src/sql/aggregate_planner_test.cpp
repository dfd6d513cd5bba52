#include "sql/plan_for_test.h"

namespace tributary {
namespace {

class AggregatePlannerTest : public PlannerTest {};

TEST_F(AggregatePlannerTest, MapAggregateMap) {
  EXPECT_EQ(
      shown("SELECT country, sum(total) / count(*) AS mean, sum(total) AS total, count(*) FILTER (WHERE email LIKE "
            "'a%') AS n FROM users WHERE id > 3 GROUP BY country HAVING count(*) > 1"),
      "0 domain users: id, email, country, Total\n"
      "1 map 0 where (id > 3)\n  country\n  Total\n  argument#4 = (email ~~ 'a%')\n"
      "2 aggregate 1\n  country\n  sum#1 = sum Total\n  count#2 = count(*)\n  count#3 = count(*) where argument#4\n"
      "3 map 2 where (\"count#2\" > 1)\n  country\n"
      "  mean = CASE WHEN (\"count#2\" > 1) THEN (\"sum#1\" / \"count#2\") END\n  total = sum#1\n  n = count#3\n"
      "= country text, mean float64, total decimal(38,2), n int64\nkey country\n");
}

TEST_F(AggregatePlannerTest, PlainOnesNeedNoSecondMap) {
  EXPECT_EQ(shown("SELECT country, count(*) AS n, max(id) FROM users GROUP BY country"),
            "0 domain users: id, country\n1 map 0\n  country\n  id\n"
            "2 aggregate 1\n  country\n  n = count(*)\n  max(id) = max id\n"
            "= country text, n int64, max(id) int64\nkey country\n");
  EXPECT_EQ(shown("SELECT count(*) AS n FROM users"),
            "0 domain users: \n1 map 0\n2 aggregate 1 global\n  n = count(*)\n= n int64\nkey \n");
  EXPECT_EQ(shown("SELECT DISTINCT country FROM users"),
            "0 domain users: country\n1 map 0\n  country\n2 aggregate 1\n  country\n= country text\nkey country\n");
}

TEST_F(AggregatePlannerTest, GroupsByNameNumberAliasAndAll) {
  std::string expected = shown("SELECT upper(country) AS c, count(*) AS n FROM users GROUP BY upper(country)");
  for (const char* groups : {"c", "1", "ALL", "UPPER(users.Country)", "c, 1, upper(country)"}) {
    EXPECT_EQ(shown(fmt::format("SELECT upper(country) AS c, count(*) AS n FROM users GROUP BY {}", groups)), expected)
        << groups;
  }
}

TEST_F(AggregatePlannerTest, IntegerSumsAreHugeIntegersInsideExpressions) {
  EXPECT_EQ(shown("SELECT sum(id) AS s, sum(id) + 1 AS t, sum(paid) AS p FROM orders"),
            "0 domain orders: id, paid\n1 map 0\n  id\n  argument#3 = CAST(paid AS INTEGER)\n"
            "2 aggregate 1 global\n  sum#1 = sum id\n  sum#2 = sum argument#3\n"
            "3 map 2\n  s = sum#1\n  t = (CAST(\"sum#1\" AS HUGEINT) + 1)\n  p = sum#2\n"
            "= s decimal(38,0), t decimal(38,0), p decimal(38,0)\nkey \n");
}

TEST_F(AggregatePlannerTest, AttributesAreOneValueAClient) {
  EXPECT_EQ(shown("SELECT country, client.tax * sum(total) AS x FROM users GROUP BY country"),
            "0 domain users: country, Total, client.tax\n1 map 0\n  country\n  client.tax\n  Total\n"
            "2 aggregate 1\n  country\n  client.tax\n  sum#1 = sum Total\n"
            "3 map 2\n  country\n  x = (\"client.tax\" * \"sum#1\")\n= country text, x decimal(38,4)\nkey country\n");
  EXPECT_EQ(plan("SELECT client.plan, count(*) AS n FROM users GROUP BY client.plan").key,
            std::vector<std::string>{"plan"});
}

// What FILTER drops is not computed, as what WHERE drops is not.
TEST_F(AggregatePlannerTest, FiltersGuardTheirArguments) {
  EXPECT_EQ(
      show(plan("SELECT sum(CAST(status AS INTEGER)) FILTER (WHERE paid) AS s, min(lower(status)) FILTER (WHERE paid) "
                "AS m FROM orders WHERE id > 3")
               .nodes[1]
               .map),
      " where (id > 3)\n  argument#3 = CASE WHEN (id > 3) AND paid THEN CAST(status AS INTEGER) END\n  paid\n"
      "  argument#4 = lower(status)");
  // What one filter lets through may fail where another one does not.
  EXPECT_EQ(
      show(plan("SELECT sum(CAST(status AS INTEGER)) FILTER (WHERE paid) AS a, sum(CAST(status AS INTEGER)) FILTER "
                "(WHERE id > 3) AS b, sum(CAST(status AS INTEGER)) AS c FROM orders")
               .nodes[1]
               .map),
      "\n  argument#4 = CASE WHEN paid THEN CAST(status AS INTEGER) END\n  paid\n"
      "  argument#5 = CASE WHEN (id > 3) THEN CAST(status AS INTEGER) END\n  argument#6 = (id > 3)\n"
      "  argument#7 = CAST(status AS INTEGER)");
}

TEST_F(AggregatePlannerTest, KeyNeedsAllGroups) {
  auto key = [](std::string_view sql) { return fmt::format("{}", fmt::join(plan(sql).key, ", ")); };
  EXPECT_EQ(key("SELECT day AS d, status, count(*) FROM orders GROUP BY day, status"), "d, status");
  EXPECT_EQ(key("SELECT day, count(*) FROM orders GROUP BY day, status"), "");
  EXPECT_EQ(key("SELECT upper(status) AS s, count(*) FROM orders GROUP BY s"), "s");
  EXPECT_EQ(key("SELECT DISTINCT day, count(*) AS n FROM orders GROUP BY day, status"), "day, n");
}

TEST_F(AggregatePlannerTest, RefusesColumnsThatAreNotGrouped) {
  refuses("SELECT status, total FROM orders GROUP BY status",
          "1:16 \"total\" is neither in GROUP BY nor inside an aggregate; add it to GROUP BY, or write min(total)");
  refuses("SELECT status, count(*) AS n FROM orders",
          "1:8 \"status\" stands beside an aggregate; write GROUP BY status");
  refuses("SELECT lower(status) AS s FROM orders GROUP BY upper(status)", "1:14 \"status\" is neither");
  refuses("SELECT count(*) AS n FROM orders GROUP BY status HAVING total > 3", "1:57 \"total\" is neither");
  refuses("SELECT status AS s FROM orders GROUP BY status HAVING max(s) > 'a'",
          "1:59 \"s\" is an alias, and max() takes columns; write what it stands for");
  refuses(
      "SELECT status, sum(total) AS total FROM orders GROUP BY status QUALIFY row_number() OVER (ORDER BY total) = 1",
      "1:100 \"total\" is neither");
  for (const char* having : {"s = 'A'", "upper(status) = 'A'", "count(*) > 1 AND s IS NULL", "total > 3"}) {
    std::string sql =
        fmt::format("SELECT upper(status) AS s, count(*) AS n FROM orders GROUP BY ALL HAVING {}", having);
    EXPECT_NE(errors(sql).find("HAVING by what is computed of columns"), std::string::npos) << sql;
  }
  refuses("SELECT * FROM orders GROUP BY status", "1:8 \"id\" is neither in GROUP BY");
  refuses("SELECT count(*) * client.tax AS n FROM orders", "1:19 client.tax beside an aggregate without GROUP BY");
}

TEST_F(AggregatePlannerTest, RefusesWhatIsNoGroup) {
  refuses("SELECT status FROM orders GROUP BY 2", "1:36 GROUP BY 2: the SELECT list has 1 columns");
  refuses("SELECT status, count(*) FROM orders GROUP BY 1, 2", "1:49 GROUP BY 2: column 2 is an aggregate");
  EXPECT_EQ(plan("SELECT count(*) AS n FROM orders GROUP BY 1.5").key, std::vector<std::string>{});  // no ordinal
  refuses("SELECT count(*) AS n FROM orders GROUP BY n", "1:43 GROUP BY names an aggregate of the SELECT list");
  refuses("SELECT status FROM orders GROUP BY count(*)",
          "1:36 count(*) is an aggregate, and GROUP BY sees single rows");
  refuses("SELECT count(*) AS n FROM orders GROUP BY ()", "1:34 GROUP BY () is what aggregates without GROUP BY mean");
  refuses("SELECT status FROM orders GROUP BY ROLLUP (status)",
          "1:27 GROUPING SETS, ROLLUP and CUBE are not supported");
  refuses("SELECT status, day FROM orders GROUP BY GROUPING SETS ((status), (day))", "1:32 GROUPING SETS");
  refuses("SELECT count(*) AS n FROM orders GROUP BY INTERVAL 1 DAY * id",
          "1:58 GROUP BY: this type cannot be a column's");
  refuses("SELECT count(*) AS n FROM orders GROUP BY status COLLATE NOCASE",
          "1:43 GROUP BY: COLLATE is for comparisons");
  refuses("SELECT count(*) AS n FROM orders GROUP BY CASE WHEN paid THEN status COLLATE NOCASE END",
          "1:43 GROUP BY: COLLATE is for comparisons");
  refuses("SELECT DISTINCT ON (status) id FROM orders", "1:8 DISTINCT ON is not supported; write QUALIFY row_number()");
  refuses("SELECT DISTINCT INTERVAL 1 DAY AS i FROM orders", "1:8 column \"i\": this type cannot be a column's");
}

// What uses a group that is none is not told as a column without a group besides.
TEST_F(AggregatePlannerTest, WhatIsWrongWithAGroupIsAllThatIsSaid) {
  for (const char* group :
       {"status % 4", "sqrt(status)", "id + day + paid", "status COLLATE NOCASE", "INTERVAL 1 DAY * id"}) {
    for (const char* form :
         {"SELECT {0} AS k, count(*) AS n FROM orders GROUP BY 1",
          "SELECT {0} AS k, count(*) AS n FROM orders GROUP BY k",
          "SELECT {0} AS k, count(*) AS n FROM orders GROUP BY ALL",
          "SELECT ({0}) IS NULL AS k, count(*) AS n FROM orders GROUP BY {0}",
          "SELECT count(*) AS n FROM orders GROUP BY {0} HAVING ({0}) IS NULL",
          "SELECT count(*) AS n FROM orders GROUP BY {0} QUALIFY row_number() OVER (ORDER BY {0}) = 1"}) {
      std::string sql = fmt::format(fmt::runtime(form), group);
      std::string told = errors(sql);
      EXPECT_FALSE(told.empty()) << sql;
      EXPECT_EQ(told.find("is neither in GROUP BY"), std::string::npos) << sql << "\n" << told;
    }
  }
}

TEST_F(AggregatePlannerTest, RefusesAggregatesByName) {
  refuses("SELECT median(total) AS m FROM orders", "1:8 median() is not supported; the aggregates are count, sum, avg");
  refuses("SELECT string_agg(status, ',') AS s FROM orders", "1:8 string_agg() is not supported");
  refuses("SELECT first(status) AS s FROM orders",
          "1:8 first() is not supported; rows have no order; write arg_min(x, t)");
  refuses("SELECT count_if(paid) AS s FROM orders", "1:8 count_if() is not supported; write count(*) FILTER (WHERE …)");
  refuses("SELECT any_value(status) AS s FROM orders",
          "1:8 any_value() is not supported; min(x) gives one of the values");
  refuses("SELECT approx_count_distinct(status) AS s FROM orders",
          "1:8 approx_count_distinct() is not supported; count(");
  refuses("SELECT every(paid) AS s FROM orders", "1:8 every() is not among the functions");
  refuses("SELECT sum(DISTINCT total) AS s FROM orders", "1:8 sum() takes no DISTINCT; make a view of SELECT DISTINCT");
  refuses("SELECT sum(total ORDER BY id) AS s FROM orders",
          "1:8 sum() does not depend on an order; leave ORDER BY out");
  refuses("SELECT min(total, 3) AS s FROM orders", "1:8 min() takes one argument here; write min(x)");
  refuses("SELECT arg_max(status, id, 3) AS s FROM orders",
          "1:8 arg_max() takes two arguments here; write arg_max(x, y)");
  refuses("SELECT sum(count(*)) AS s FROM orders",
          "1:12 count(*) stands inside sum(); make the inner one a view of its own");
  refuses("SELECT lower(DISTINCT status) AS s FROM orders", "1:8 lower() is no aggregate and takes no DISTINCT");
  refuses("SELECT id FROM orders WHERE sum(total) > 3",
          "1:29 sum() is an aggregate, and WHERE sees single rows; write HAVING");
  refuses("SELECT sum(total) AS s FROM orders WHERE s > 3",
          "1:44 WHERE names an aggregate of the SELECT list; write HAVING");
  refuses("SELECT pg_catalog.sum(total) AS s FROM orders", "1:8 functions have no schema here; write sum()");
}

TEST_F(AggregatePlannerTest, RefusesTypes) {
  refuses("SELECT sum(status) AS s FROM orders",
          "1:8 Binder Error: No function matches the given name and argument types 'sum(VARCHAR)'");
  refuses("SELECT avg(paid) AS s FROM orders", "1:8 Binder Error: No function matches");
  refuses("SELECT bool_and(total) AS s FROM orders", "1:8 Binder Error: No function matches");
  refuses("SELECT avg(day) AS s FROM orders", "1:8 avg(): of date it is not supported; give it numbers: epoch(x)");
  refuses("SELECT sum(big) AS s FROM users",
          "1:8 sum(): bigdecimal(50,2) is text to DuckDB; write CAST(x AS DECIMAL(38, 2))");
  refuses("SELECT min(big) AS s FROM users", "1:8 min(): bigdecimal(50,2) has no order here");
  refuses("SELECT max(payload) AS s FROM orders", "1:8 max(): json has no order; take a part of it");
  refuses("SELECT arg_min(id, payload) AS s FROM orders", "1:8 arg_min(): json has no order");
  refuses("SELECT max(INTERVAL 1 DAY) AS s FROM orders", "1:8 max(): this type cannot be a column's");
  refuses("SELECT min(status COLLATE NOCASE) AS s FROM orders",
          "1:8 min(): COLLATE is for comparisons only; write lower(x)");
  refuses("SELECT count(DISTINCT [id]) AS s FROM orders", "1:8 count(): this type cannot be a column's");
  refuses("SELECT count(*) FILTER (WHERE id) AS s FROM orders", "1:31 FILTER needs a condition; this is int64");
  refuses("SELECT count(*) AS n FROM orders GROUP BY day HAVING count(*)",
          "1:54 HAVING needs a condition; this is int64");
  refuses("SELECT sum(total) + status AS s FROM orders GROUP BY status", "1:19 Binder Error: ");
}

TEST_F(AggregatePlannerTest, AllErrorsAtOnce) {
  EXPECT_EQ(
      errors("SELECT status, total, median(id) AS m, sum(DISTINCT id) AS s FROM orders WHERE count(*) > 1 GROUP BY 9 "
             "LIMIT 3"),
      "1:23 median() is not supported; the aggregates are count, sum, avg, min, max, bool_and, bool_or, arg_min and "
      "arg_max\n"
      "1:40 sum() takes no DISTINCT; make a view of SELECT DISTINCT, and write sum() over that\n"
      "1:80 count(*) is an aggregate, and WHERE sees single rows; write HAVING\n"
      "1:102 GROUP BY 9: the SELECT list has 4 columns\n"
      "1:104 LIMIT would make the view's rows depend on each other; leave it out, and limit in the query");
  std::string types =
      errors("SELECT sum(status) AS s, avg(paid) AS a, total FROM orders WHERE id GROUP BY day + status");
  EXPECT_EQ(std::count(types.begin(), types.end(), '\n'), 4) << types;
}

}  // namespace
}  // namespace tributary
