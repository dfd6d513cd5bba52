#include "sql/plan_for_test.h"

namespace tributary {
namespace {

class FirstRowPlannerTest : public PlannerTest {};

TEST_F(FirstRowPlannerTest, KeepsTheColumnsThatAreSelected) {
  EXPECT_EQ(
      shown("SELECT id, country FROM users QUALIFY row_number() OVER (PARTITION BY country ORDER BY created_at DESC, "
            "lower(email) NULLS FIRST) = 1"),
      "0 domain users: id, email, country, created_at\n"
      "1 map 0\n  id\n  country\n  order#1 = created_at\n  order#2 = lower(email)\n"
      "2 first row 1\n  of country\n  by order#1 desc order#2 nulls first\n"
      "= id int64 not null, country text\nkey country\n");
}

// The SELECT list breaks ties, so it is computed first.
TEST_F(FirstRowPlannerTest, ComputesBeforeIt) {
  EXPECT_EQ(shown("SELECT id, CAST(email AS INT) AS n FROM users WHERE id > 3 QUALIFY row_number() OVER (PARTITION BY "
                  "country ORDER BY created_at) = 1"),
            "0 domain users: id, email, country, created_at\n"
            "1 map 0 where (id > 3)\n  id\n  n = CASE WHEN (id > 3) THEN CAST(email AS INTEGER) END\n"
            "  partition#1 = country\n  order#2 = created_at\n"
            "2 first row 1\n  of partition#1\n  by order#2\n= id int64 not null, n int32\nkey id\n");
}

TEST_F(FirstRowPlannerTest, OtherWaysToWriteIt) {
  auto ends = [](std::string_view qualify) {
    std::string text = shown(fmt::format("SELECT id FROM users QUALIFY {}", qualify));
    return text.substr(text.find("first row 1"));
  };
  std::string expected = ends("row_number() OVER (PARTITION BY country ORDER BY id) = 1");
  EXPECT_EQ(ends("row_number() OVER (PARTITION BY country ORDER BY id) <= 1"), expected);
  EXPECT_EQ(ends("1 = row_number() OVER (PARTITION BY country ORDER BY id ASC NULLS LAST)"), expected);
  EXPECT_EQ(ends("1 >= row_number() OVER (PARTITION BY country ORDER BY id)"), expected);
  EXPECT_EQ(ends("row_number() OVER (ORDER BY id) = 1"), "first row 1\n  of\n  by id\n= id int64 not null\nkey id\n");
  EXPECT_EQ(
      shown("SELECT id, row_number() OVER w AS rn FROM users WINDOW w AS (PARTITION BY country ORDER BY id) QUALIFY rn "
            "= 1"),
      "0 domain users: id, country\n1 map 0\n  id\n  rn = CAST(1 AS BIGINT)\n  partition#1 = country\n"
      "2 first row 1\n  of partition#1\n  by id\n= id int64 not null, rn int64\nkey id\n");
}

TEST_F(FirstRowPlannerTest, OverGroups) {
  EXPECT_EQ(
      shown("SELECT day, status FROM orders GROUP BY day, status QUALIFY row_number() OVER (PARTITION BY day ORDER BY "
            "sum(total) DESC) = 1"),
      "0 domain orders: status, total, day\n1 map 0\n  day\n  status\n  total\n"
      "2 aggregate 1\n  day\n  status\n  sum#1 = sum total\n"
      "3 map 2\n  day\n  status\n  order#2 = sum#1\n"
      "4 first row 3\n  of day\n  by order#2 desc\n= day date, status text\nkey day\n");
}

TEST_F(FirstRowPlannerTest, RefusesOtherWindows) {
  constexpr const char* form = "the form is QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1";
  auto refuses_qualify = [&](std::string_view qualify, std::string_view expected) {
    std::string text = errors(fmt::format("SELECT id FROM orders QUALIFY {}", qualify));
    EXPECT_EQ(text, fmt::format("{}; {}", expected, form)) << qualify;
  };
  refuses_qualify("row_number() OVER (PARTITION BY day ORDER BY id) = 2", "1:80 this QUALIFY is not supported");
  refuses_qualify("row_number() OVER (PARTITION BY day ORDER BY id) < 3", "1:80 this QUALIFY is not supported");
  refuses_qualify("rank() OVER (PARTITION BY day ORDER BY id) = 1", "1:74 this QUALIFY is not supported");
  refuses_qualify("total > 3", "1:37 this QUALIFY is not supported");
  refuses_qualify("row_number() OVER (ORDER BY id) = 1 AND paid", "1:67 this QUALIFY is not supported");
  refuses_qualify("row_number() OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) = 1",
                  "1:104 this QUALIFY is not supported");
  EXPECT_EQ(errors("SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY day) = 1"),
            fmt::format("1:31 which row is the first? {}", form));
  refuses("SELECT id, row_number() OVER (ORDER BY id) AS n FROM orders",
          "1:12 window functions are not supported in SELECT");
  refuses("SELECT id, lag(id) OVER (ORDER BY id) AS n FROM orders QUALIFY row_number() OVER (ORDER BY id) = 1",
          "1:12 window functions are not supported in SELECT");
  refuses("SELECT status FROM orders GROUP BY 1 HAVING row_number() OVER (ORDER BY id) = 1",
          "1:45 window functions are not");
  refuses("SELECT id FROM orders WHERE row_number() OVER (ORDER BY id) = 1",
          "1:29 window functions are not supported here");
  EXPECT_NE(errors("SELECT row_number() OVER (ORDER BY id) AS n FROM orders WHERE n = 1")
                .find("1:65 WHERE names a window of"),
            std::string::npos);
  refuses("SELECT sum(row_number() OVER (ORDER BY id)) AS n FROM orders",
          "1:12 window functions are not supported here");
  refuses("SELECT id FROM orders QUALIFY row_number() OVER (ORDER BY payload) = 1", "1:59 ORDER BY: json has no order");
  refuses("SELECT id FROM users QUALIFY row_number() OVER (ORDER BY big) = 1",
          "1:58 ORDER BY: bigdecimal(50,2) has no order");
  refuses("SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY [id] ORDER BY id) = 1",
          "1:64 PARTITION BY: this type cannot be a column's");
  refuses("SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY nix ORDER BY id) = 1",
          "1:63 orders has no column \"nix\"");
  refuses("SELECT status, count(*) FROM orders GROUP BY ALL QUALIFY row_number() OVER (ORDER BY status) = 1",
          "1:94 QUALIFY goes with the groups' names, not with GROUP BY ALL");
  refuses("SELECT status FROM orders GROUP BY status QUALIFY row_number() OVER (ORDER BY total) = 1",
          "1:79 \"total\" is neither in GROUP BY");
}

}  // namespace
}  // namespace tributary
