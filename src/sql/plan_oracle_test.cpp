// A view's SQL run by DuckDB in batch, and its plan run node by node: the same columns, the same rows.
#include <gtest/gtest.h>

#include "sql/plan_as_sql.h"

namespace tributary {
namespace {

TEST_F(PlanOracleTest, OneRelation) {
  same("SELECT * FROM orders");
  same(
      "SELECT id, lower(trim(email)) AS email, \"Total\" * client.tax AS tax, country FROM users WHERE country <> "
      "'de'");
  same("SELECT id, CAST(email AS INTEGER) AS n FROM users WHERE email IN ('17', '5')");
  same("SELECT 1 AS one, NULL AS nothing, 'x' AS text, 1.5 AS dec, 7::TINYINT AS t, INTERVAL 1 DAY AS i FROM users");
  same("SELECT id + 1 AS next, next * 2 AS more FROM orders WHERE more > 10");
}

TEST_F(PlanOracleTest, Joins) {
  same(
      "SELECT o.id, u.country, o.total FROM orders o JOIN users u ON u.id = o.user_id WHERE status <> 'test' AND "
      "country = 'de'");
  same(
      "SELECT o.id, u.email, o.total FROM orders o LEFT JOIN users u ON u.id = o.user_id AND u.country = 'de' AND "
      "o.paid");
  same(
      "SELECT o.id, u.email FROM orders o LEFT JOIN users u ON u.id = o.user_id WHERE u.email IS NULL AND o.quantity > "
      "1");
  same("SELECT o.id, coalesce(u.country, '?') AS c FROM orders o LEFT JOIN users u ON o.user_id + 1 = u.id + 0");
  same(
      "SELECT i.order_id, i.line, o.status, u.country, client.plan AS p FROM items i JOIN orders o ON o.id = "
      "i.order_id "
      "LEFT JOIN users u ON u.id = o.user_id AND u.country = client.plan WHERE i.price > 0.5");
  same("SELECT a.id, b.id AS other FROM orders a JOIN orders b ON a.user_id = b.user_id AND a.id < b.id AND a.paid");
  same("SELECT o.id AS i, s.country FROM orders o JOIN sales s USING (id) WHERE id > 2");
  same("SELECT * EXCLUDE (country) FROM orders JOIN sales USING (id)");
  same(
      "SELECT u.id, i.product FROM users u LEFT JOIN items i ON i.order_id = u.id AND i.quantity > 1 AND i.product <> "
      "'cup'");
  same(
      "SELECT o.id, p.id AS p FROM orders o LEFT JOIN users u ON u.id = o.user_id LEFT JOIN orders p ON p.user_id = "
      "u.id "
      "AND p.status = o.status");
  same(
      "SELECT o.id, p.id AS p FROM orders o LEFT JOIN users u ON u.id = o.user_id JOIN orders p ON "
      "coalesce(u.id, 3) = p.user_id");
  same(
      "SELECT o.id, u.id AS u FROM orders o LEFT JOIN users u ON o.id = u.id AND o.quantity = 1 AND client.plan = "
      "'de'");
  same("SELECT o.id, u.id AS u FROM orders o JOIN users u ON o.id = u.id WHERE client.plan = 'fr'");
  same("SELECT o.id, u.id AS u FROM orders o JOIN users u ON o.id = u.id AND u.country = client.plan");
  same("SELECT a.id, b.line FROM orders a LEFT JOIN items b ON b.order_id = a.id AND b.line = a.quantity");
  same("SELECT struct_pack(o.id, u.country, x := o.total) AS x FROM orders o JOIN users u ON u.id = o.user_id");
}

// A pair of every two types that `=` compares. What the sides are cast to decides what is equal.
TEST_F(PlanOracleTest, JoinsOnPairsOfTypes) {
  for (const char* pair : {"o.quantity = u.id",
                           "o.number = u.id",
                           "o.user_id = o2.number",
                           "o.total = u.id",
                           "o.total = i.price",
                           "o.weight = u.id",
                           "o.ratio = o2.weight",
                           "o.ratio = o2.total",
                           "o.ratio = o2.id",
                           "o.day = o2.placed_at",
                           "o.placed_at = u.created_at",
                           "o.day = u.created_at",
                           "o.paid = o2.paid",
                           "o.token = o2.token",
                           "o.mark = o2.mark",
                           "o.payload = o2.payload",
                           "o.status = u.email",
                           "s.amount = o.total",
                           "o.paid = o2.quantity",
                           "o.id = s.amount",
                           "CAST(o.id AS HUGEINT) = o2.total",
                           "o.id::TINYINT = o2.quantity",
                           "date_trunc('day', o.placed_at) = o2.day",
                           "u.big = u2.big",
                           "s.amount = i.price"}) {
    std::string condition = pair;
    std::string left = condition.substr(condition.find('.') - 1, 1);
    left = condition.starts_with("CAST(") || condition.starts_with("date") || condition.starts_with("o.") ? "o"
           : condition.starts_with("u.")                                                                  ? "u"
                                                                                                          : "s";
    std::string from = left == "o" ? "orders o" : left == "u" ? "users u" : "sales s";
    std::string right = condition.find("= o2.") != std::string::npos   ? "orders o2"
                        : condition.find("= u2.") != std::string::npos ? "users u2"
                        : condition.find("= u.") != std::string::npos  ? "users u"
                        : condition.find("= i.") != std::string::npos  ? "items i"
                        : condition.find("= s.") != std::string::npos  ? "sales s"
                                                                       : "orders o";
    std::string alias = right.substr(right.find(' ') + 1);
    std::string column = alias == "i" ? "line" : "id";
    same("SELECT " + left + ".id, " + alias + "." + column + " AS other FROM " + from + " LEFT JOIN " + right + " ON " +
         condition);
  }
}

TEST_F(PlanOracleTest, Aggregates) {
  same("SELECT country, count(*) AS n FROM users GROUP BY country");
  same(
      "SELECT status, sum(total) / count(*) AS mean, round(avg(total), 2) AS r, sum(quantity) AS q, sum(quantity) + 1 "
      "AS q1 "
      "FROM orders GROUP BY status HAVING count(*) > 2");
  same("SELECT count(*), count(total), min(total), max(placed_at), avg(weight), sum(weight), sum(ratio) FROM orders");
  same("SELECT count(*) AS n, sum(total) AS s FROM orders WHERE id > 1000");
  same("SELECT count(*) AS n FROM orders HAVING count(*) > 1000");
  same(
      "SELECT day, bool_and(paid) AS a, bool_or(paid) AS o, count(DISTINCT status) AS d, count(DISTINCT payload) AS p, "
      "arg_max(status, id) AS last, min_by(payload, id) AS first, sum(paid) AS paid FROM orders GROUP BY ALL");
  same(
      "SELECT day, count(*) FILTER (WHERE paid) AS n, sum(total) FILTER (WHERE status = 'new') AS s, "
      "avg(TRY_CAST(status AS INTEGER)) FILTER (WHERE id > 9) AS numbers FROM orders GROUP BY 1");
  same(
      "SELECT date_trunc('month', placed_at) AS month, extract(hour FROM placed_at) AS h, count(*) FROM orders "
      "GROUP BY month, h");
  same("SELECT upper(status) AS status, count(*) AS n FROM orders GROUP BY status");
  same("SELECT upper(status) AS s, count(*) AS id FROM orders GROUP BY s HAVING id > 3");
  same(
      "SELECT u.country, sum(o.total) AS total, sum(o.total) * client.tax AS tax FROM orders o JOIN users u ON u.id = "
      "o.user_id GROUP BY u.country");
  same(
      "SELECT u.country, client.plan AS p, count(i.product) AS n, count(*) AS rows FROM users u LEFT JOIN orders o ON "
      "o.user_id = u.id LEFT JOIN items i ON i.order_id = o.id AND i.quantity > 0 GROUP BY u.country");
  same("SELECT DISTINCT status, count(*) > 3 AS many FROM orders GROUP BY status, day");
  same("SELECT DISTINCT paid, status IS NULL AS none FROM orders");
  same(
      "SELECT quantity % 2 = 0 AS even, quantity % 2 AS m, max(quantity) + min(quantity % 2) AS x FROM orders GROUP BY "
      "ALL");
  same(
      "SELECT status, min(DISTINCT id) AS a, max(DISTINCT id) AS b, mean(id) AS c, argmax(id, total + id) AS d FROM "
      "orders "
      "GROUP BY status");
  same(
      "SELECT max(quantity::TINYINT) AS t, max(quantity::TINYINT) + 1::TINYINT AS u, sum(id::HUGEINT) AS h, "
      "sum(id::HUGEINT) % 7 AS m, min(number::UINTEGER) AS ui, max(placed_at::TIMESTAMP_S) AS ts FROM orders");
  same("SELECT id::TINYINT AS t, id::TINYINT + 1::TINYINT AS u, count(*) FROM orders GROUP BY id::TINYINT");
  same("SELECT sum(amount) AS a, sum(amount) / 2 AS half, avg(amount) AS m, max(amount) AS x FROM sales");
  same("SELECT CASE WHEN sum(quantity) > 3 THEN 'many' ELSE 'few' END AS k, count(*) FROM orders GROUP BY status, day");
  same("SELECT status FROM orders GROUP BY status HAVING max(total) IS NOT NULL AND status <> 'test'");
  same("SELECT big, count(*), arg_max(big, id) AS last, count(DISTINCT big) AS d FROM users GROUP BY big");
  same("SELECT struct_pack(status, n := count(*)) AS x FROM orders GROUP BY status");
  same("SELECT 'x' AS k, 1 + 1 AS two, count(*) AS n FROM orders GROUP BY k, two");
  same(
      "SELECT token, mark, min(token) AS a, max(mark) AS b, min(day) AS c, max(paid) AS d FROM orders GROUP BY token, "
      "mark");
}

TEST_F(PlanOracleTest, GroupsByAllWithoutColumns) {
  for (const char* where : {"", " WHERE id > 1000"}) {
    for (const char* items :
         {"1 AS one, count(*) AS n", "1 + 1 AS two, max(id) AS m, 'x' AS x", "1 AS one, 2 AS two",
          "NULL AS nothing, sum(id) AS s", "1 AS one, day, count(*) AS n", "DISTINCT 1 AS one, min(id) AS m"}) {
      same(fmt::format("SELECT {} FROM orders{} GROUP BY ALL", items, where));
      same(fmt::format("SELECT {} FROM orders{} GROUP BY ALL HAVING max(id) IS NULL OR max(id) > 3", items, where));
    }
  }
}

// An alias that is also a column's name: DuckDB takes the alias in HAVING unless it is grouped by, the column in an aggregate.
TEST_F(PlanOracleTest, AliasesThatAreColumnsNames) {
  for (const char* having :
       {"max(id) > 3", "sum(id) > 9", "count(*) FILTER (WHERE id > 4) > 0", "id > 1", "max(id) > 3 AND id > 1",
        "max(total) > 3 OR id = 1", "arg_max(status, id) <> 'new'", "user_id > 1"}) {
    same(fmt::format("SELECT user_id AS id, max(id) AS m FROM orders GROUP BY user_id HAVING {}", having));
    same(fmt::format("SELECT user_id + 1 AS id, max(id) AS m FROM orders GROUP BY user_id, user_id + 1 HAVING {}",
                     having));
    same(fmt::format("SELECT user_id, count(*) AS id FROM orders GROUP BY user_id HAVING {}", having));
  }
  same("SELECT user_id, sum(total) AS total FROM orders GROUP BY user_id HAVING sum(total) > 1");
  same("SELECT user_id, sum(total) AS total FROM orders GROUP BY user_id HAVING max(total) > 1 AND total > 2");
  same("SELECT -total AS total, max(total) AS m FROM orders GROUP BY -total HAVING max(total) > 5");
  same("SELECT count(*) AS id FROM orders HAVING max(id) > 1 AND id > 1");
  same(
      "SELECT user_id AS quantity, sum(quantity) AS s FROM orders GROUP BY user_id QUALIFY row_number() OVER (ORDER BY "
      "sum(quantity) DESC, user_id) = 1");
  same(
      "SELECT user_id, sum(total) AS total FROM orders GROUP BY user_id QUALIFY row_number() OVER (ORDER BY sum(total) "
      "DESC, user_id) = 1");
  same(
      "SELECT user_id, sum(total) AS s FROM orders GROUP BY user_id QUALIFY row_number() OVER (ORDER BY s DESC, "
      "user_id) "
      "= 1");
}

// A COLLATE whose comparison is over leaves nothing behind in the value.
TEST_F(PlanOracleTest, ComparisonsWithCollateAreValues) {
  for (const char* value :
       {"status COLLATE NOCASE = 'NEW'", "status COLLATE NOCASE IN ('NEW', 'Paid')", "status COLLATE NOCASE > 'O'",
        "NOT (status COLLATE NOCASE <> 'NEW')", "status COLLATE NOCASE BETWEEN 'A' AND 'O'",
        "status COLLATE NOCASE IS NULL", "status COLLATE NOCASE IS DISTINCT FROM 'NEW'",
        "length(status COLLATE NOCASE)", "CASE WHEN status COLLATE NOCASE = 'NEW' THEN 1 ELSE id END",
        "CASE WHEN status COLLATE NOCASE = 'NEW' THEN upper(status) ELSE status END",
        "coalesce(CAST(status COLLATE NOCASE = 'NEW' AS VARCHAR), status)"}) {
    same(fmt::format("SELECT {} AS x, count(*) AS n FROM orders GROUP BY 1", value));
    same(fmt::format("SELECT count(*) AS n FROM orders GROUP BY {0} HAVING ({0}) IS NOT NULL", value));
    same(fmt::format("SELECT DISTINCT {} AS x FROM orders", value));
    same(fmt::format("SELECT min({0}) AS a, max({0}) AS b, arg_min({0}, id) AS c, count(DISTINCT {0}) AS d FROM orders",
                     value));
    same(fmt::format("SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY {0} ORDER BY {0}, id) = 1", value));
  }
}

TEST_F(PlanOracleTest, FirstRows) {
  same("SELECT id, status, total FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY total, id) = 1");
  same("SELECT id, status FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY total DESC, id) = 1");
  same(
      "SELECT id, status FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY total NULLS FIRST, id) <= "
      "1");
  same(
      "SELECT id FROM orders QUALIFY 1 = row_number() OVER (PARTITION BY status, day ORDER BY total DESC NULLS FIRST, "
      "id)");
  same("SELECT id FROM orders QUALIFY row_number() OVER (ORDER BY total DESC, id DESC) = 1");
  same(
      "SELECT id, lower(status) AS s, row_number() OVER (PARTITION BY s ORDER BY id) AS rn FROM orders QUALIFY rn = 1");
  same(
      "SELECT id, CAST(status AS INTEGER) AS n FROM orders WHERE status = '12' QUALIFY row_number() OVER (PARTITION BY "
      "day "
      "ORDER BY id DESC) = 1");
  same(
      "SELECT day, count(*) AS n FROM orders GROUP BY day, status QUALIFY row_number() OVER (PARTITION BY day ORDER BY "
      "count(*) DESC, status) = 1");
  same("SELECT DISTINCT paid FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY id) = 1");
  same(
      "SELECT u.id, o.total FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.id < 5 QUALIFY row_number() "
      "OVER "
      "(PARTITION BY u.id ORDER BY o.placed_at DESC) = 1");
  same("SELECT total AS id, id AS total FROM orders QUALIFY row_number() OVER (PARTITION BY quantity ORDER BY id) = 1");
}

TEST_F(PlanOracleTest, Unions) {
  same(
      "SELECT id, country FROM users UNION ALL SELECT quantity, status FROM orders UNION ALL SELECT 1, NULL FROM "
      "sales");
  same("SELECT id FROM users UNION SELECT quantity FROM orders UNION SELECT line FROM items");
  same("SELECT status AS s FROM orders UNION ALL SELECT id FROM orders UNION SELECT total FROM orders");
  same("SELECT sum(id) AS s FROM orders UNION ALL SELECT total FROM orders");
  same("SELECT amount AS s FROM sales UNION ALL SELECT total FROM orders");
  same("SELECT id AS i FROM orders UNION ALL SELECT ratio FROM orders UNION ALL SELECT weight FROM orders");
  same("SELECT day AS t FROM orders UNION ALL SELECT placed_at FROM orders UNION ALL SELECT created_at FROM users");
  same("SELECT paid AS p FROM orders UNION ALL SELECT id FROM orders");
  same("SELECT number AS p FROM orders UNION ALL SELECT id FROM orders");
  same("SELECT big AS p FROM users UNION ALL SELECT big FROM users");
  same("SELECT big AS p FROM users UNION ALL SELECT total FROM orders");
  same("SELECT DISTINCT status, 1 AS n FROM orders UNION ALL SELECT product, count(*) FROM items GROUP BY product");
  same("(SELECT id FROM orders UNION SELECT id FROM users) UNION ALL SELECT id FROM sales");
  same(
      "SELECT id, status FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY id) = 1 UNION ALL SELECT "
      "id, "
      "country FROM users");
  same("SELECT INTERVAL 1 DAY AS i FROM users UNION ALL SELECT INTERVAL 2 DAY FROM users");
}

}  // namespace
}  // namespace tributary
