#include "verify/exact_functions.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "verify/scratch_database.h"
#include "verify/wide_sum.h"

namespace tributary {
namespace {

class ExactFunctions : public ::testing::Test {
 protected:
  ExactFunctions() {
    auto opened = ScratchDatabase::open(std::filesystem::temp_directory_path(), size_t{256} << 20);
    CHECK(opened.ok(), "{}", opened.error().message);
    database_ = std::move(opened).value();
  }

  std::string value(const std::string& sql) {
    auto rows = database_->rows("SELECT CAST(v AS VARCHAR) FROM (" + sql + ") AS q(v)");
    if (!rows.ok()) return rows.error().message;
    return rows->at(0).at(0).value_or("NULL");
  }

  std::unique_ptr<ScratchDatabase> database_;
};

TEST_F(ExactFunctions, ASumDoesNotDependOnOrderAndDoesNotCancel) {
  EXPECT_EQ(value("SELECT exact_sum(x) FROM (VALUES (1e16), (1e0), (-1e16), (NULL)) AS t(x)"), "1.0");
  EXPECT_EQ(value("SELECT exact_sum(x) FROM (VALUES (-1e308), (-1e308), (1e308), (-5e-324), (1e308)) AS t(x)"),
            "-5e-324");
  EXPECT_EQ(value("SELECT exact_sum(x) FROM (VALUES (-1.5e0), (0.25e0)) AS t(x)"), "-1.25");
  // DuckDB's own sum is 10000.000000018848.
  EXPECT_EQ(value("SELECT exact_sum(0.1e0) FROM range(100000)"), "10000.0");
  EXPECT_EQ(value("SELECT exact_sum(x) FROM (VALUES (NULL::DOUBLE)) AS t(x)"), "NULL");
  EXPECT_EQ(value("SELECT exact_sum(x) FROM (VALUES (1.5e0), ('inf'::DOUBLE)) AS t(x)"), "inf");
  EXPECT_EQ(value("SELECT exact_sum(x) FROM (VALUES ('-inf'::DOUBLE), ('inf'::DOUBLE)) AS t(x)"), "nan");
  // 2^53 + 1 lies between two doubles; to even, unless there is more below it.
  EXPECT_EQ(value("SELECT exact_sum(x)::HUGEINT FROM (VALUES (9007199254740992e0), (1e0)) AS t(x)"),
            "9007199254740992");
  EXPECT_EQ(value("SELECT exact_sum(x)::HUGEINT FROM (VALUES (9007199254740992e0), (1e0), (1e-300)) AS t(x)"),
            "9007199254740994");
}

TEST_F(ExactFunctions, SumsOfManyGroupsWithAFilter) {
  EXPECT_EQ(
      value("SELECT count(*) FROM (SELECT i % 5000 AS g, exact_sum(CAST(i AS DOUBLE)) FILTER (WHERE i % 2 = 0) AS s, "
            "sum(i) FILTER (WHERE i % 2 = 0) AS n FROM range(200000) AS t(i) GROUP BY g) WHERE s IS DISTINCT FROM n"),
      "0");
}

TEST_F(ExactFunctions, AQuotientIsRoundedOnce) {
  EXPECT_EQ(exact_quotient("-10.00", 3), -10.0 / 3);
  EXPECT_EQ(exact_quotient("0.00", 7), 0.0);
  EXPECT_EQ(exact_quotient("0.000000000000000001", 1'000'000'000'000), 1e-30);
  EXPECT_EQ(exact_quotient("99999999999999999999999999999999999999", 1), 1e38);
  EXPECT_EQ(exact_quotient("2.01", 3), 0.67);
  EXPECT_EQ(exact_quotient("18014398509481986", 2), 9007199254740992.0);  // 2^53 + 1: to even
  EXPECT_EQ(exact_quotient("18014398509481986.000000000000000000001", 2), 9007199254740994.0);
  EXPECT_EQ(value("SELECT exact_quotient('1', 0)"), "NULL");
  EXPECT_EQ(value("SELECT sum(q) FROM (SELECT exact_quotient(CAST(sum(x) AS VARCHAR), count(x)) AS q "
                  "FROM (VALUES (1.10, 1), (1.13, 1), (NULL, 2)) AS t(x, g) GROUP BY g)"),
            "1.115");
}

TEST_F(ExactFunctions, ASumBeyond128BitsFailsNothing) {
  std::string nines(38, '9');
  // Three numbers of 38 digits: beyond 128 bits on the way only, or in the end.
  EXPECT_EQ(
      value("SELECT wide_sum_0(x) FROM (VALUES (" + nines + "), (" + nines + "), (-" + nines + "), (NULL)) AS t(x)"),
      nines);
  EXPECT_EQ(value("SELECT wide_sum_integer(CAST(" + nines + " AS HUGEINT)) FROM range(3)"),
            "170141183460469231731687303715884105727");
  EXPECT_EQ(value("SELECT length(CAST(wide_sum_2(CAST('-9999999999999999999999999999999999.99' AS DECIMAL(38,2)))"
                  " AS VARCHAR)) FROM range(10000)"),
            "41");  // 39 digits, point and sign
  EXPECT_EQ(
      value("SELECT wide_text_2(CAST('-9999999999999999999999999999999999.99' AS DECIMAL(38,2))) FROM range(1000000)"),
      "-9999999999999999999999999999999999990000.00");
  EXPECT_EQ(value("SELECT wide_text_3(x) FROM (VALUES (CAST(0.001 AS DECIMAL(38,3))), (-0.003)) AS t(x)"), "-0.002");
  EXPECT_EQ(value("SELECT wide_text_0(x) || wide_sum_0(x) FROM (VALUES (CAST(NULL AS DECIMAL(38,0)))) AS t(x)"),
            "NULL");
  EXPECT_EQ(value("SELECT wide_text_integer(x) FROM (VALUES (CAST(0 AS HUGEINT))) AS t(x)"), "0");
  EXPECT_EQ(
      value("SELECT count(*) FROM (SELECT i % 5000 AS g, wide_sum_2(CAST(i AS DECIMAL(38,2))) FILTER (WHERE i % 2 = 0)"
            " AS s, sum(i) FILTER (WHERE i % 2 = 0) AS n FROM range(200000) AS t(i) GROUP BY g) WHERE s IS DISTINCT "
            "FROM n"),
      "0");
}

TEST_F(ExactFunctions, SumsThatCannotFailAreDuckDbsOwn) {
  EXPECT_EQ(wide_sum_suffix("DECIMAL(38,2)"), "2");
  EXPECT_EQ(wide_sum_suffix("HUGEINT"), "integer");
  for (const char* type : {"DECIMAL(18,2)", "BIGINT", "DOUBLE", "VARCHAR"}) EXPECT_EQ(wide_sum_suffix(type), "");
}

}  // namespace
}  // namespace tributary
