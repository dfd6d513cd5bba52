#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <random>

#include "sql/plan_for_test.h"

namespace tributary {
namespace {

constexpr LogicalType text{TypeId::kText};

class ViewPlannerTest : public PlannerTest {};

TEST_F(ViewPlannerTest, PassesThroughAndComputes) {
  EXPECT_EQ(shown("SELECT id, lower(trim(u.email)) AS email, Upper(country), client.plan, total * client.tax AS tax "
                  "FROM users u WHERE country <> 'test' AND client.plan = 'gold'"),
            "0 domain users: id, email, country, Total, client.plan, client.tax\n"
            "1 map 0 where ((country != 'test') AND (\"client.plan\" = 'gold'))\n"
            "  id\n"
            "  email = lower(main.\"trim\"(email))\n"
            "  upper(country)\n"
            "  plan = client.plan\n"
            "  tax = CASE WHEN ((country != 'test') AND (\"client.plan\" = 'gold')) THEN (Total * \"client.tax\") END\n"
            "= id int64 not null, email text, upper(country) text, plan text, tax decimal(15,4)\n"
            "key id\n");
}

TEST_F(ViewPlannerTest, StarRenamesWhatIsThePipelinesOwn) {
  EXPECT_EQ(shown("SELECT * EXCLUDE (email, country) FROM users"),
            "0 domain users: id, client_id, _rev, Total, created_at, big\n"
            "1 map 0\n  id\n  client_id_ = client_id\n  _rev_ = _rev\n  Total\n  created_at\n  big\n"
            "= id int64 not null, client_id_ text, _rev_ int32, Total decimal(12,2), created_at timestamptz, "
            "big bigdecimal(50,2)\nkey id\n");
  EXPECT_EQ(shown("FROM users u SELECT u.client_id_ || '!' AS x"),
            "0 domain users: client_id\n1 map 0\n  x = (client_id || '!')\n= x text\nkey \n");
  EXPECT_EQ(show(identity_view("users", relations_for_test()[0])), shown("SELECT * FROM users"));
  EXPECT_EQ(plan("SELECT id FROM users").order_by, std::vector<std::string>{"id"});
}

// A view's columns have their names: what was renamed once is not renamed again.
TEST_F(ViewPlannerTest, ReadsViews) {
  EXPECT_EQ(shown("SELECT *, client.plan FROM sales WHERE amount > 5"),
            "0 view sales: id, country, amount, _rev_, client.plan\n"
            "1 map 0 where (amount > 5)\n  id\n  country\n  amount\n  _rev_\n  plan = client.plan\n"
            "= id int64 not null, country text, amount decimal(38,0), _rev_ int32, plan text\nkey id\n");
}

TEST_F(ViewPlannerTest, KeyUnderAnotherName) {
  EXPECT_EQ(shown("SELECT id AS user_id FROM users"),
            "0 domain users: id\n1 map 0\n  user_id = id\n= user_id int64 not null\nkey user_id\n");
  EXPECT_EQ(plan("SELECT order_id, product FROM items").key, std::vector<std::string>{});
  EXPECT_EQ(plan("SELECT line AS n, order_id FROM items").key, (std::vector<std::string>{"order_id", "n"}));
}

TEST_F(ViewPlannerTest, AliasesStandForTheirExpressions) {
  EXPECT_EQ(shown("SELECT Total * 2 AS twice, twice + 1 AS more FROM users WHERE twice > 5"),
            "0 domain users: Total\n1 map 0 where ((Total * 2) > 5)\n"
            "  twice = CASE WHEN ((Total * 2) > 5) THEN (Total * 2) END\n"
            "  more = CASE WHEN ((Total * 2) > 5) THEN ((Total * 2) + 1) END\n"
            "= twice decimal(18,2), more decimal(18,2)\nkey \n");
  // A column goes before an alias of its name.
  EXPECT_EQ(shown("SELECT upper(country) AS country FROM users WHERE country = 'de'"),
            "0 domain users: country\n1 map 0 where (country = 'de')\n  country = upper(country)\n"
            "= country text\nkey \n");
}

TEST_F(ViewPlannerTest, ManyForms) {
  plan(
      "SELECT CASE WHEN Total > 5 THEN 'big' ELSE 'small' END a, CAST(created_at AS DATE) b, TRY_CAST(email AS INT) c, "
      "Total BETWEEN 1 AND 2 d, country IN ('de', 'fr') e, email LIKE '%@%' f, coalesce(email, country) g, "
      "created_at AT TIME ZONE 'Europe/Berlin' h, extract(year FROM created_at) i, email ~ '^a' j, "
      "created_at + INTERVAL 1 DAY k, DATE '2024-01-01' l, NULL m, true n, email IS NULL o, NOT (id = 1) p, "
      "nullif(country, '') q, [id, id][1] r, {'a': id}.a s, email COLLATE NOCASE = 'x' t, concat(email, id) u, "
      "email::JSON -> '$.a' v2, email::JSON ->> '$.a' v3, email::JSON -> 'a' -> 'b' v4, id IS DISTINCT FROM 3 v, -id "
      "w, email ILIKE 'A%' x, substring(email, 1, 2) y, age(created_at, created_at) z "
      "FROM users");
}

TEST_F(ViewPlannerTest, NonAsciiPlacesCountCharacters) {
  EXPECT_EQ(errors("SELECT 'äöü' AS a,\n 'é' || nope FROM users").substr(0, 4), "2:9 ");
}

TEST_F(ViewPlannerTest, RefusesWithItsPlace) {
  auto starts = [&](std::string_view sql, std::string_view expected) {
    EXPECT_EQ(errors(sql).substr(0, expected.size()), expected) << sql << "\n" << errors(sql);
  };
  starts("SELECT id, emial FROM users", "1:12 users has no column \"emial\"; did you mean \"email\"?");
  starts("SELECT id FROM usres", "1:16 there is no domain or view \"usres\"; did you mean \"users\"?");
  starts("SELECT id FROM public.users", "1:16 \"public.users\": a view names a domain or a view, not a table");
  starts("SELECT id FROM users ORDER BY id", "1:22 ORDER BY has no meaning");
  starts("SELECT u.* people FROM users u", "1:8 * has an alias for each column; list the columns");
  starts("SELECT year(created_at) AS y, count(*) AS n FROM users y GROUP BY y", "1:67 \"y\" names a relation of FROM");
  starts("SELECT id FROM users LIMIT 3", "1:22 LIMIT would make");
  starts("SELECT id FROM users OFFSET 3", "1:22 LIMIT would make");
  starts("WITH q AS (SELECT 1) SELECT id FROM users", "1:1 WITH is not supported");
  starts("SELECT id FROM (SELECT 1) t", "1:11 a subquery in FROM");
  starts("SELECT id FROM read_csv('/etc/passwd')", "1:16 a view reads domains and views, not table functions");
  starts("SELECT 1", "1:1 the view reads nothing");
  starts("SELECT id FROM users TABLESAMPLE 10%", "1:22 a sample gives");
  starts("SELECT id FROM users QUALIFY row_number() OVER () = 1", "1:30 which row is the first?");
  starts("SELECT id, (SELECT 1) FROM users", "1:12 subqueries are not supported");
  starts("SELECT id FROM users WHERE EXISTS (SELECT 1)", "1:");
  starts("SELECT row_number() OVER () FROM users", "1:8 window functions are not supported");
  starts("SELECT now() FROM users", "1:8 now() reads the clock");
  starts("SELECT current_date FROM users", "1:8 current_date() reads the clock");
  starts("SELECT current_timestamp FROM users", "1:8 ");
  starts("SELECT age(created_at) FROM users", "1:8 age() with one argument reads the clock");
  starts("SELECT random() FROM users", "1:8 random() gives another value");
  starts("SELECT version() FROM users", "1:8 version() is not among the functions");
  starts("SELECT current_setting('x') FROM users", "1:8 current_setting() is not among");
  starts("SELECT getvariable('x') FROM users", "1:8 getvariable() is not among");
  starts("SELECT repeat(email, 100) FROM users", "1:8 repeat() is not among");
  starts("SELECT id, lpad(email, id, '0') AS p FROM users", "1:12 lpad() takes a constant length up to 100000");
  starts("SELECT id, rpad(email, 2000000000, '0') AS p FROM users", "1:12 rpad() takes a constant length");
  starts("SELECT id, format('{:>' || id || '}', email) AS p FROM users", "1:12 format() takes a constant text");
  starts("SELECT id, format('{:{}}', email, id) AS p FROM users", "1:12 format() takes a constant text");
  starts("SELECT id, printf('%*d', id, id) AS p FROM users", "1:12 printf() takes a constant text");
  starts("SELECT id, printf('%2000000000d', id) AS p FROM users", "1:12 printf() takes a constant text");
  for (const char* call : {"replace(email, 'a', email)", "regexp_replace(email, 'a', email, 'g')",
                           "array_to_string(string_split(email, ''), email)"}) {
    starts(fmt::format("SELECT id, {} AS p FROM users", call),
           fmt::format("1:12 {}() takes a constant text of up to 100",
                       std::string_view(call).substr(0, std::string_view(call).find('('))));
  }
  for (const char* call :
       {"levenshtein(email, email)", "editdist3(email, 'x')", "damerau_levenshtein(left(email, 1001), 'x')"}) {
    starts(fmt::format("SELECT id, {} AS p FROM users", call),
           fmt::format("1:12 {}() takes texts of up to 1000",
                       std::string_view(call).substr(0, std::string_view(call).find('('))));
  }
  for (const char* bounded : {"replace(email, email, 'x')", "regexp_replace(email, '(a)', '[\\1]', 'g')",
                              "levenshtein(left(email, 1000), 'x')", "array_to_string(string_split(email, ''), ', ')",
                              "replace(email, 'a', left(email, 100))", "lpad(email, 20, '0')",
                              "format('{{{:>8}}} {}', email, id)", "printf('%08d', id)"})
    EXPECT_FALSE(plan(fmt::format("SELECT id, {} AS p FROM users", bounded)).nodes.empty()) << bounded;
  for (const auto& [condition, what] : std::vector<std::pair<std::string, std::string>>{
           {"email LIKE country", "LIKE takes a constant pattern"},
           {"email NOT ILIKE country", "ILIKE takes a constant pattern"},
           {"email LIKE '%a_%b'", "LIKE takes a pattern with at most one %"},
           {"email LIKE '%a%b' ESCAPE '!'", "LIKE takes a pattern with at most one %"},
           {"email ILIKE '%a%b'", "ILIKE takes a pattern with at most one %"},
           {"email GLOB '*a*b'", "GLOB takes a pattern with at most one *"},
           {"regexp_matches(email, country)", "regexp_matches() takes a constant pattern"},
           {"email SIMILAR TO country", "takes a constant pattern"},
           {"email ~ country", "takes a constant pattern"},
           {"len(string_split_regex(email, left(country, 1001))) > 1",
            "string_split_regex() takes a constant pattern"}}) {
    std::string told = errors(fmt::format("SELECT id FROM users WHERE {}", condition));
    EXPECT_NE(told.find(what), std::string::npos) << condition << "\n" << told;
  }
  for (const char* fast : {"regexp_matches(email, left(country, 1000))", "email ~ 'a.*'", "email LIKE '%a%b%c'",
                           "email NOT LIKE '%a_b%'", "email ILIKE '%a_b%'", "email GLOB '*a[bc]?*'"}) {
    EXPECT_FALSE(plan(fmt::format("SELECT id FROM users WHERE {}", fast)).nodes.empty()) << fast;
  }
  starts("SELECT client.paln FROM users", "1:8 no client has an attribute \"paln\"; did you mean \"plan\"?");
  starts("SELECT x.id FROM users u", "1:8 \"x\" is not in FROM; write u.id");
  starts("SELECT id, email AS id FROM users", "1:12 two columns are called \"id\"");
  starts("SELECT id AS client_id FROM users", "1:8 \"client_id\" is a name of the pipeline's own");
  starts("SELECT id AS _x FROM users", "1:8 \"_x\" is a name of the pipeline's own");
  starts("SELECT client_id FROM users", "1:8 the source's column \"client_id\" is called \"client_id_\" here");
  starts("SELECT client_id FROM orders", "1:8 client_id is a column of every view");
  starts("SELECT email COLLATE NOCASE AS e FROM users", "1:8 COLLATE is for comparisons");
  starts("SELECT id FROM users client", "1:16 \"client\" names the client's attributes");
  starts("SELECT * REPLACE (1 AS id) FROM users", "1:8 REPLACE, RENAME and COLUMNS()");
  starts("SELECT COLUMNS('i.*') FROM users", "1:8 REPLACE, RENAME and COLUMNS()");
  starts("SELECT * EXCLUDE (nope) FROM users", "1:8 EXCLUDE: users has no column");
  starts("SELECT o.* FROM users u", "1:8 \"o\" is not in FROM");
  starts("SELECT id FROM users WHERE id", "1:28 WHERE needs a condition; this is int64");
  starts("SELECT id FROM users WHERE id = ?", "1:");
  starts("SELECT [x + 1 for x in [1]] FROM users", "1:");
  starts("SELECT list_transform([id], lambda x: x + 1) FROM users", "1:8 list_transform() is not among");
  starts("SELECT list_contains([id], lambda x: x + 1) FROM users", "1:");
  starts("SELECT id + email::DATE FROM users WHERE", "1:41 Parser Error: syntax error at end of input");
  starts("SELECT id, FROM WHERE users", "1:");
  starts("SELECT 1; SELECT 2", "1:1 a view is one SELECT statement; this has several");
  starts("DELETE FROM users", "1:1 a view is one SELECT statement; write");
  starts("", "1:1 there is no SQL here");
  starts(std::string_view("SELECT \0", 8), "1:1 the SQL is not UTF-8 text");
  starts("SELECT CAST(id AS VARCHAR),\n  upper(email + country) FROM users",
         "2:15 Binder Error: No function matches the given name and argument types '+(VARCHAR, VARCHAR)'");
  starts("SELECT CAST(email AS nosuchtype) FROM users", "1:8 Catalog Error: Type with name nosuchtype does not exist!");
}

TEST_F(ViewPlannerTest, AllErrorsAtOnce) {
  EXPECT_EQ(errors("SELECT nope, random(), client.x FROM users WHERE nix = 1").substr(0, 4), "1:8 ");
  std::string all = errors("SELECT nope, random(), client.x FROM users WHERE nix = 1");
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3) << all;
}

// What follows from an error is none: an alias has its expression's errors once, a column that is not there no name.
TEST_F(ViewPlannerTest, EachErrorOnce) {
  EXPECT_EQ(errors("SELECT email + country AS x, x + 1 AS y FROM users WHERE x > 3"),
            "1:14 Binder Error: No function matches the given name and argument types '+(VARCHAR, VARCHAR)'. You might "
            "need to "
            "add explicit type casts.");
  EXPECT_EQ(errors("SELECT client_id FROM orders"),
            "1:8 client_id is a column of every view without being written; leave it out");
  EXPECT_EQ(errors("SELECT _x FROM orders").find("a name of the pipeline's own"), std::string::npos);
}

TEST_F(ViewPlannerTest, ClockInDisguise) {
  for (const char* value : {"now", "today", "tomorrow", "yesterday", "current"}) {
    std::string sql = fmt::format("SELECT CAST('{}' AS TIMESTAMP) AS t FROM users", value);
    auto planned = plan_view(*engine, request(sql));
    if (!std::holds_alternative<ViewPlan>(planned)) continue;  // folded and refused while preparing
    auto program = engine->prepare({}, {std::get<ViewPlan>(planned).nodes[1].map.expressions[0]});
    ASSERT_TRUE(program.ok());
    auto output = (*program)->run({}, 1, {});
    EXPECT_FALSE(output.ok() && output->errors.empty()) << sql;
  }
}

TEST_F(ViewPlannerTest, FilteredRowsDoNotFail) {
  ViewPlan view = plan("SELECT id, CAST(email AS INTEGER) AS n FROM users WHERE email NOT LIKE '%x%'");
  const MapPlan& map = view.nodes[1].map;
  auto program = engine->prepare(map.inputs, map.expressions);
  ASSERT_TRUE(program.ok());
  Column id(LogicalType{TypeId::kInt64});
  Column email(text);
  for (const char* value : {"1", "x", "2"}) {
    id.append_fixed<int64_t>(1);
    email.append_bytes(value);
  }
  std::vector<const Column*> columns;
  for (const InputColumn& input : map.inputs) columns.push_back(input.name == "id" ? &id : &email);
  auto output = (*program)->run(columns, 3, {});
  ASSERT_TRUE(output.ok());
  EXPECT_TRUE(output->errors.empty());
  EXPECT_EQ(output->columns[*map.outputs[1].expression].fixed<int32_t>(2), 2);
}

TEST_F(ViewPlannerTest, DomainWhoseColumnsAreNotKnown) {
  auto check = [&](std::string_view sql) {
    ViewRequest view = request(sql);
    view.relations.push_back({"things", {}, {}});
    auto planned = plan_view(*engine, view);
    if (auto* found = std::get_if<std::vector<PlanError>>(&planned)) return show(*found);
    EXPECT_TRUE(std::get<ViewPlan>(planned).nodes.empty());
    return std::string("no nodes");
  };
  EXPECT_EQ(check("SELECT whatever, lower(thing), * FROM things u WHERE u.x > 1"), "no nodes");
  EXPECT_EQ(
      check("SELECT t.a, o.id, sum(b) AS s, s + 1 AS more FROM orders o LEFT JOIN things t ON t.x = o.id GROUP BY ALL "
            "HAVING s > 3"),
      "no nodes");
  EXPECT_EQ(check("SELECT id FROM things UNION ALL SELECT id FROM orders"), "no nodes");
  EXPECT_EQ(
      check("SELECT o.nix, p.x, median(a) AS m FROM orders o RIGHT JOIN things t ON t.x = o.id LIMIT 3"),
      "1:8 orders has no column \"nix\"; see the lock file for its columns\n"
      "1:15 \"p\" is not in FROM, which has o, t; client.NAME is an attribute\n"
      "1:20 median() is not supported; the aggregates are count, sum, avg, min, max, bool_and, bool_or, arg_min and "
      "arg_max\n"
      "1:49 RIGHT JOIN is not supported; swap the sides and write LEFT JOIN\n"
      "1:83 LIMIT would make the view's rows depend on each other; leave it out, and limit in the query");
  EXPECT_EQ(check("SELECT now() FROM things").substr(0, 26), "1:8 now() reads the clock,");
  EXPECT_EQ(check("SELECT o.x FROM things u").substr(0, 19), "1:8 \"o\" is not in F");
  EXPECT_EQ(check("SELECT client.nix FROM things").substr(0, 30), "1:8 no client has an attribute");
}

TEST_F(ViewPlannerTest, DeepAndLongSqlIsRefused) {
  std::string deep = "SELECT ";
  for (int i = 0; i < 400; ++i) deep += "abs(";
  deep += "id" + std::string(400, ')') + " AS x FROM users";
  EXPECT_NE(errors(deep), "no error");
  EXPECT_EQ(errors("SELECT " + std::string(300 * 1024, ' ')).substr(0, 15), "1:1 the SQL has");
}

// Whatever the text is: an answer, and places inside it.
TEST_F(ViewPlannerTest, MutatedSqlNeverBreaks) {
  std::mt19937 random(20240229);
  const std::string bases[] = {
      "SELECT id, lower(trim(u.email)) AS email, CASE WHEN Total > 1.5 THEN client.plan END p, * FROM users u WHERE "
      "country IN ('de', 'fr') AND created_at AT TIME ZONE 'UTC' > DATE '2024-01-01'",
      "SELECT u.country, sum(o.total) / count(*) AS mean, arg_max(o.status, o.id) FILTER (WHERE o.paid) AS last FROM "
      "orders o "
      "LEFT JOIN users u ON u.id = o.user_id AND u.country <> 'x' JOIN sales USING (id) WHERE o.total > 3 GROUP BY 1 "
      "HAVING "
      "count(DISTINCT o.status) > 1 UNION ALL SELECT DISTINCT country, 1.5, NULL FROM users",
      "SELECT id, status AS s FROM orders QUALIFY row_number() OVER (PARTITION BY s ORDER BY total DESC NULLS FIRST) = "
      "1"};
  const std::string pieces[] = {"(",          ")",      "'",
                                "\"",         ",",      "SELECT",
                                "FROM",       " JOIN ", " GROUP BY ",
                                " ON ",       "*",      " UNION ",
                                " DISTINCT ", "sum(",   "::",
                                "[",          "{",      "$1",
                                "?",          "\xC3",   "--",
                                "/*",         ";",      "OVER ()",
                                "NULL",       "1e999",  "999999999999999999999999999999999999999999"};
  for (int round = 0; round < 900; ++round) {
    std::string sql = bases[round % 3];
    for (int i = 0; i < 3; ++i) {
      size_t at = random() % sql.size();
      if (random() % 2 == 0) {
        sql.erase(at, random() % 8);
      } else {
        sql.insert(at, pieces[random() % std::size(pieces)]);
      }
    }
    auto planned = plan_view(*engine, request(sql));
    if (auto* found = std::get_if<std::vector<PlanError>>(&planned)) {
      ASSERT_FALSE(found->empty()) << sql;
      for (const PlanError& error : *found) ASSERT_LE(error.place.column, sql.size() + 1) << sql;
    }
  }
}

TEST_F(ViewPlannerTest, RelationsThatAreRead) {
  auto read = [](std::string_view sql) {
    std::string out;
    for (const RelationUse& use : relations_read(*engine, sql, {"orders", "sales", "users"})) {
      out += fmt::format("{} {}:{};", use.name, use.place.line, use.place.column);
    }
    return out;
  };
  EXPECT_EQ(read("SELECT 1 FROM Sales s JOIN x ON 1 = 1 LEFT JOIN orders ON true"), "sales 1:15;orders 1:49;");
  EXPECT_EQ(read("SELECT 1 FROM users UNION ALL\nSELECT 2 FROM sales UNION ALL SELECT 3 FROM users"),
            "users 1:15;sales 2:15;");
  EXPECT_EQ(read("SELECT 1 FROM public.users, (SELECT 1 FROM sales)"), "");
  EXPECT_EQ(read("SELECT FROM WHERE"), "");
}

}  // namespace
}  // namespace tributary
