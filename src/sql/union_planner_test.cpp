#include "sql/plan_for_test.h"

namespace tributary {
namespace {

class UnionPlannerTest : public PlannerTest {};

TEST_F(UnionPlannerTest, CastsToWhatHoldsAll) {
  EXPECT_EQ(
      shown("SELECT id, country FROM users UNION ALL SELECT quantity, status FROM orders UNION ALL SELECT 1, NULL FROM "
            "users"),
      "0 domain users: id, country\n1 map 0\n  id\n  country\n"
      "2 domain orders: status, quantity\n3 map 2\n  quantity\n  status\n"
      "4 domain users: \n5 map 4\n  1\n  NULL\n"
      "6 map 3\n  quantity = CAST(quantity AS BIGINT)\n  status\n"
      "7 map 5\n  1 = CAST(\"1\" AS BIGINT)\n  NULL = CAST(\"NULL\" AS VARCHAR)\n"
      "8 union 1 6 7\n= id int64, country text\nkey \n");
}

TEST_F(UnionPlannerTest, DistinctIsAnAggregateWithoutCalls) {
  EXPECT_EQ(shown("SELECT country FROM users UNION SELECT status FROM orders UNION SELECT product FROM items"),
            "0 domain users: country\n1 map 0\n  country\n2 domain orders: status\n3 map 2\n  status\n"
            "4 domain items: product\n5 map 4\n  product\n6 union 1 3 5\n7 aggregate 6\n  country\n"
            "= country text\nkey country\n");
  EXPECT_EQ(shown("SELECT country FROM users UNION SELECT status FROM orders UNION ALL SELECT product FROM items"),
            "0 domain users: country\n1 map 0\n  country\n2 domain orders: status\n3 map 2\n  status\n"
            "4 union 1 3\n5 aggregate 4\n  country\n6 domain items: product\n7 map 6\n  product\n8 union 5 7\n"
            "= country text\nkey \n");
}

// Only a column that all SELECTs pass through not null is not null.
TEST_F(UnionPlannerTest, Nullable) {
  EXPECT_EQ(show(plan("SELECT id FROM users UNION ALL SELECT id FROM orders").columns()), "id int64 not null");
  EXPECT_EQ(show(plan("SELECT id FROM users UNION ALL SELECT user_id FROM orders").columns()), "id int64");
}

TEST_F(UnionPlannerTest, Refuses) {
  refuses("SELECT id FROM users UNION ALL SELECT id, status FROM orders",
          "1:22 the SELECTs of a UNION have 1 and 2 columns; give them the same");
  refuses("SELECT day FROM orders UNION ALL SELECT id FROM orders",
          "1:24 column \"day\": date and int64 do not go into one column; CAST one of them");
  refuses("SELECT token FROM orders UNION ALL SELECT status FROM orders",
          "1:26 column \"token\": uuid and text do not");
  refuses("SELECT payload FROM orders UNION ALL SELECT status FROM orders",
          "1:28 column \"payload\": json and text do not");
  refuses("SELECT INTERVAL 1 DAY AS i FROM orders UNION ALL SELECT id FROM orders",
          "1:40 column \"i\": text and int64 do not");
  refuses("SELECT INTERVAL 1 DAY AS i FROM orders UNION SELECT INTERVAL 1 DAY FROM orders",
          "1:40 column \"i\": this type");
  refuses("SELECT id FROM users EXCEPT SELECT id FROM orders", "1:22 EXCEPT is not supported; write LEFT JOIN");
  refuses("SELECT id FROM users INTERSECT SELECT id FROM orders", "1:22 INTERSECT is not supported; write JOIN");
  refuses("SELECT id FROM users UNION ALL BY NAME SELECT id FROM orders", "1:22 UNION BY NAME is not supported");
  refuses("SELECT id FROM users UNION ALL SELECT nix FROM orders ORDER BY 1", "1:39 orders has no column \"nix\"");
  refuses("SELECT id FROM users UNION ALL SELECT id FROM orders ORDER BY 1", "1:54 ORDER BY has no meaning");
  refuses("(SELECT id FROM users LIMIT 3) UNION ALL SELECT id FROM orders", "1:23 LIMIT would make");
  refuses("SELECT id FROM users WHERE nix UNION ALL SELECT id FROM orders WHERE LIMIT", "1:");
}

// Errors of all SELECTs at once, each with the place of its own words.
TEST_F(UnionPlannerTest, PlacesInEachSelect) {
  EXPECT_EQ(
      errors("SELECT DISTINCT nix FROM users UNION ALL\nSELECT DISTINCT ON (id) id FROM orders UNION ALL\nSELECT nax "
             "FROM orders LIMIT 3"),
      "1:17 users has no column \"nix\"; there are: id, email, country, client_id_, _rev_, Total, created_at, big\n"
      "2:8 DISTINCT ON is not supported; write QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1\n"
      "3:8 orders has no column \"nax\"; see the lock file for its columns\n"
      "3:24 LIMIT would make the view's rows depend on each other; leave it out, and limit in the query");
}

TEST_F(UnionPlannerTest, ManySelects) {
  std::string sql = "SELECT id FROM users";
  for (int i = 1; i < 256; ++i) sql += " UNION ALL SELECT id FROM users";
  EXPECT_EQ(plan(sql).nodes.back().inputs.size(), 256u);
  EXPECT_NE(errors(sql + " UNION ALL SELECT id FROM users").find("a view has at most 256 SELECTs"), std::string::npos);
}

}  // namespace
}  // namespace tributary
