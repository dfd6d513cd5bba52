#include "sql/plan_for_test.h"

namespace tributary {
namespace {

class FromPlannerTest : public PlannerTest {};

TEST_F(FromPlannerTest, ConditionsAreCheckedWhereTheirRelationIs) {
  EXPECT_EQ(shown("SELECT o.id, u.country FROM orders o JOIN users u ON u.id = o.user_id "
                  "WHERE o.status <> 'test' AND u.country = 'de' AND o.total > u.Total"),
            "0 domain orders: id, user_id, status, total\n"
            "1 map 0 where (status != 'test')\n  o.id = id\n  o.total = total\n  o.user_id = user_id\n"
            "2 domain users: id, country, Total\n"
            "3 map 2 where (country = 'de')\n  u.country = country\n  u.Total = Total\n  u.id = id\n"
            "4 join 1 3 unique\n  o.user_id = u.id\n"
            "5 map 4 where (\"o.total\" > \"u.Total\")\n  id = o.id\n  country = u.country\n"
            "= id int64 not null, country text\nkey id\n");
}

// The NULLs of a LEFT JOIN come before WHERE, and after ON.
TEST_F(FromPlannerTest, LeftJoinsKeepTheirLeftRows) {
  EXPECT_EQ(shown("SELECT o.id, u.email FROM orders o LEFT JOIN users u ON u.id = o.user_id AND u.country = 'de' AND "
                  "o.paid WHERE u.email IS NULL AND o.status = 'x'"),
            "0 domain orders: id, user_id, status, paid\n"
            "1 map 0 where (status = 'x')\n  o.id = id\n  key#1 = CASE WHEN (status = 'x') AND paid THEN user_id END\n"
            "2 domain users: id, email, country\n"
            "3 map 2 where (country = 'de')\n  u.email = email\n  u.id = id\n"
            "4 left join 1 3 unique\n  key#1 = u.id\n"
            "5 map 4 where (\"u.email\" IS NULL)\n  id = o.id\n  email = u.email\n"
            "= id int64 not null, email text\nkey id\n");
}

// A value of a key's column that DuckDB cannot take passes through, whatever else ON says.
TEST_F(FromPlannerTest, ConditionsOfALeftJoinComputeNoKeyColumnWhoseValuesMayOnlyPassThrough) {
  EXPECT_EQ(
      show(plan("SELECT o.id, b.id AS other FROM orders o LEFT JOIN orders b ON b.total = o.total AND b.id = o.id "
                "AND o.paid")
               .nodes[1]
               .map),
      "\n  o.id = id\n  o.total = total\n  key#1 = CASE WHEN paid THEN id END");
  ViewPlan view = plan("SELECT o.id, b.id AS other FROM orders o LEFT JOIN orders b ON b.total = o.total AND o.paid");
  EXPECT_EQ(show(view.nodes[1].map),
            "\n  o.id = id\n  o.total = total\n  key#1 = CASE WHEN paid THEN CAST(1 AS BIGINT) END");
  EXPECT_EQ(show(view.nodes[3].map), "\n  b.id = id\n  b.total = total\n  key#2 = CAST(1 AS BIGINT)");
  EXPECT_EQ(view.nodes[4].join.left_key, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(view.nodes[4].join.right_key, (std::vector<uint32_t>{1, 2}));
}

// Behind each join only what is used above it goes on; keys that are expressions are computed below their join.
TEST_F(FromPlannerTest, ChainsCarryOnlyWhatIsUsedAbove) {
  EXPECT_EQ(shown("SELECT i.line, u.country FROM items i JOIN orders o ON o.id = i.order_id LEFT JOIN users u ON "
                  "u.id = o.user_id + 1 AND u.country = client.plan"),
            "0 domain items: order_id, line\n"
            "1 map 0\n  i.line = line\n  i.order_id = order_id\n"
            "2 domain orders: id, user_id\n"
            "3 map 2\n  o.user_id = user_id\n  o.id = id\n"
            "4 join 1 3 unique\n  i.order_id = o.id\n"
            "5 map 4\n  i.line\n  key#1 = (\"o.user_id\" + 1)\n"
            "6 domain users: id, country, client.plan\n"
            "7 map 6 where (country = \"client.plan\")\n  u.country = country\n  u.id = id\n"
            "8 left join 5 7 unique\n  key#1 = u.id\n"
            "9 map 8\n  line = i.line\n  country = u.country\n"
            "= line int32 not null, country text\nkey \n");
}

TEST_F(FromPlannerTest, OneRelationTwice) {
  EXPECT_EQ(shown("SELECT a.id, b.id AS other FROM orders a JOIN orders b ON a.user_id = b.user_id AND a.id < b.id"),
            "0 domain orders: id, user_id\n1 map 0\n  a.id = id\n  a.user_id = user_id\n"
            "2 domain orders: id, user_id\n3 map 2\n  b.id = id\n  b.user_id = user_id\n"
            "4 join 1 3\n  a.user_id = b.user_id\n"
            "5 map 4 where (\"a.id\" < \"b.id\")\n  id = a.id\n  other = b.id\n"
            "= id int64 not null, other int64 not null\nkey id, other\n");
}

TEST_F(FromPlannerTest, KeysOfJoins) {
  auto key = [](std::string_view sql) { return fmt::format("{}", fmt::join(plan(sql).key, ", ")); };
  auto unique = [](std::string_view sql) {
    std::string out;
    ViewPlan view = plan(sql);
    for (const PlanNode& node : view.nodes) {
      if (node.kind == NodeKind::kJoin) out += node.join.right_unique ? "1" : "0";
    }
    return out;
  };
  EXPECT_EQ(unique("SELECT o.id FROM orders o JOIN users u ON u.id = o.user_id"), "1");
  EXPECT_EQ(unique("SELECT o.id FROM orders o JOIN users u ON u.country = o.status"), "0");
  EXPECT_EQ(unique("SELECT o.id FROM orders o JOIN users u ON u.id + 0 = o.user_id"), "0");
  EXPECT_EQ(unique("SELECT o.id FROM orders o JOIN users u ON u.id = o.total"), "0");
  EXPECT_EQ(unique("SELECT o.id FROM orders o LEFT JOIN items i ON i.order_id = o.id"), "0");
  EXPECT_EQ(unique("SELECT o.id FROM orders o LEFT JOIN items i ON i.order_id = o.id AND i.line = o.quantity"), "1");
  EXPECT_EQ(unique("SELECT o.id FROM orders o LEFT JOIN items i ON i.order_id = o.id JOIN sales s USING (id)"), "01");
  EXPECT_EQ(key("SELECT o.id AS o, i.line, i.order_id FROM orders o LEFT JOIN items i ON i.order_id = o.id"),
            "o, order_id, line");
  EXPECT_EQ(key("SELECT o.id AS o, i.line FROM orders o LEFT JOIN items i ON i.order_id = o.id"), "");
  EXPECT_EQ(key("SELECT u.id FROM orders o JOIN users u ON u.id = o.user_id"), "");
  // What a LEFT JOIN may make NULL is not "not null", though it is a key column.
  EXPECT_EQ(show(plan("SELECT o.id, u.id AS u FROM orders o LEFT JOIN users u ON u.id = o.user_id").columns()),
            "id int64 not null, u int64");
}

TEST_F(FromPlannerTest, UsingIsOneColumn) {
  EXPECT_EQ(show(plan("SELECT * EXCLUDE (_rev_, big) FROM sales JOIN users USING (id, country)").columns()),
            "id int64 not null, country text, amount decimal(38,0), email text, client_id_ text, Total decimal(12,2), "
            "created_at timestamptz");
  EXPECT_EQ(show(plan("SELECT id, users.id AS u FROM orders LEFT JOIN users USING (id)").columns()),
            "id int64 not null, u int64");
}

TEST_F(FromPlannerTest, ExpressionsAreGuardedByTheirMapsFilterOnly) {
  EXPECT_EQ(shown("SELECT CAST(o.status AS INTEGER) AS n FROM orders o JOIN users u ON u.id = o.user_id WHERE o.status "
                  "= '12'"),
            "0 domain orders: user_id, status\n"
            "1 map 0 where (status = '12')\n  o.status = status\n  o.user_id = user_id\n"
            "2 domain users: id\n3 map 2\n  u.id = id\n"
            "4 join 1 3 unique\n  o.user_id = u.id\n"
            "5 map 4\n  n = CAST(\"o.status\" AS INTEGER)\n= n int32\nkey \n");
  EXPECT_EQ(
      show(plan("SELECT o.id FROM orders o JOIN users u ON u.id = CAST(o.status AS INTEGER) WHERE o.status = '12'")
               .nodes[1]
               .map),
      " where (status = '12')\n  o.id = id\n"
      "  key#1 = CASE WHEN (status = '12') THEN CAST(status AS INTEGER) END");
}

TEST_F(FromPlannerTest, JoinKeysAreCastToWhatEqualityCompares) {
  auto key = [](std::string_view condition) {
    ViewPlan view = plan(fmt::format("SELECT o.id FROM orders o JOIN orders b ON {}", condition));
    const PlanNode& join = view.nodes[4];
    const PlanNode& left = view.nodes[1];
    const PlanNode& right = view.nodes[3];
    return left.columns[join.join.left_key[0]].type.to_string() + " " +
           right.columns[join.join.right_key[0]].type.to_string();
  };
  EXPECT_EQ(key("o.quantity = b.number"), "int16 uint64");
  EXPECT_EQ(key("o.total = b.id"), "decimal(21,2) decimal(21,2)");
  EXPECT_EQ(key("o.total = b.weight"), "float64 float64");
  EXPECT_EQ(key("o.ratio = b.id"), "float32 float32");
  EXPECT_EQ(key("o.day = b.placed_at"), "timestamp timestamp");
  EXPECT_EQ(key("o.id::HUGEINT = b.total"), "decimal(38,2) decimal(38,2)");
  EXPECT_EQ(key("o.paid = (b.id > 3)"), "bool bool");
}

TEST_F(FromPlannerTest, RefusesWithTheNearestForm) {
  refuses("SELECT o.id FROM orders o, users u WHERE o.id = u.id",
          "1:28 every row with every row is not supported; write JOIN … ON a.id = b.id");
  refuses("SELECT o.id FROM orders o CROSS JOIN users u", "1:27 every row with every row");
  refuses("SELECT o.id FROM orders o RIGHT JOIN users u ON o.id = u.id",
          "1:27 RIGHT JOIN is not supported; swap the sides and write LEFT JOIN");
  refuses("SELECT o.id FROM orders o FULL JOIN users u ON o.id = u.id",
          "1:27 FULL JOIN is not supported; write LEFT JOIN");
  refuses("SELECT o.id FROM orders o NATURAL JOIN users u", "1:27 NATURAL JOIN changes");
  refuses("SELECT o.id FROM orders o SEMI JOIN users u ON o.id = u.id", "1:27 SEMI JOIN is not supported");
  refuses("SELECT o.id FROM orders o ANTI JOIN users u ON o.id = u.id", "1:27 ANTI JOIN is not supported");
  refuses("SELECT o.id FROM orders o ASOF JOIN users u ON o.id >= u.id", "1:27 ASOF JOIN is not supported");
  refuses("SELECT o.id FROM orders o POSITIONAL JOIN users u", "1:27 POSITIONAL JOIN has no meaning");
  refuses("SELECT o.id FROM orders o JOIN (users u JOIN sales s ON s.id = u.id) ON o.id = u.id",
          "1:27 joins inside of joins are not supported; write them one after another");
  refuses("SELECT o.id FROM orders o JOIN (SELECT 1 AS id) u ON o.id = u.id",
          "1:27 a subquery in FROM is not supported; make it a view of its own");
  refuses("SELECT o.id FROM orders o JOIN range(3) r ON r.range = o.id", "1:32 a view reads domains and views, not");
  refuses("SELECT o.id FROM orders o JOIN users u ON o.id > u.id",
          "1:27 a join needs an equality between its two sides; write ON o.id = u.id");
  refuses("SELECT o.id FROM orders o JOIN users u ON true", "1:27 a join needs an equality");
  refuses("SELECT o.id FROM orders o JOIN users u ON o.id = 3", "1:27 a join needs an equality");
  refuses("SELECT o.id FROM orders o LEFT JOIN users u ON o.id = u.id AND o.total > u.Total",
          "1:72 in a LEFT JOIN, a condition on both sides is an equality");
  refuses("SELECT o.id FROM orders o JOIN users u ON o.status = u.id",
          "1:52 text = int64: the sides are compared in different ways; CAST one of them");
  refuses("SELECT o.id FROM orders o JOIN orders b ON o.token = b.status", "1:52 uuid = text: the sides are compared");
  refuses("SELECT o.id FROM orders o JOIN orders b ON o.day = b.id", "1:50 date = int64: there is no common type");
  refuses("SELECT o.id FROM orders o JOIN orders b ON o.placed_at - b.placed_at = INTERVAL 1 DAY", "1:27 a join needs");
  refuses("SELECT o.id FROM orders o JOIN orders b ON [o.id] = [b.id]",
          "1:51 text = text: a side has a type that no column");
  refuses("SELECT o.id FROM orders o JOIN users u ON o.nix = u.id AND u.id = o.id",
          "1:43 orders has no column \"nix\"");
  refuses("SELECT nix FROM orders o JOIN users u ON o.id = u.id", "1:8 none of o, u has a column \"nix\"");
  refuses("SELECT id FROM orders o JOIN users u ON o.id = u.id",
          "1:8 \"id\" is a column of o and of u; write o.id or u.id");
  refuses("SELECT x.id FROM orders o JOIN users u ON o.id = u.id", "1:8 \"x\" is not in FROM, which has o, u");
  refuses("SELECT * FROM orders o JOIN users u ON o.id = u.id", "1:8 * gives two columns \"id\"; list the columns");
  refuses("SELECT orders.id FROM orders JOIN orders ON true",
          "1:35 \"orders\" is in FROM twice; give one of them an alias");
  refuses("SELECT o.id FROM orders o JOIN users u USING (nix)", "1:27 USING: orders has no column \"nix\"");
  refuses("SELECT o.id FROM orders o JOIN users u ON o.id = u.id WHERE u.Total",
          "1:61 WHERE needs a condition; this is");
  refuses("SELECT o.id FROM orders o JOIN users u ON o.id = u.id AND u.Total", "1:59 ON needs a condition; this is");
  refuses("SELECT o.id FROM orders o JOIN users u ON o.id = u.id AND count(*) > 1",
          "1:59 count(*) is an aggregate, and ON");
}

TEST_F(FromPlannerTest, ManyJoins) {
  std::string sql = "SELECT t0.id FROM orders t0";
  for (int i = 1; i < 64; ++i) sql += fmt::format(" JOIN orders t{} ON t{}.id = t{}.id", i, i, i - 1);
  EXPECT_EQ(plan(sql).nodes.back().kind, NodeKind::kMap);
  sql += " JOIN orders t64 ON t64.id = t63.id";
  EXPECT_NE(errors(sql).find("a view joins at most 64 relations; split it"), std::string::npos) << errors(sql);
}

}  // namespace
}  // namespace tributary
