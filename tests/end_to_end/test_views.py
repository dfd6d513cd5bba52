"""Joins, aggregates, dedupe and unions over a shop that keeps changing: the same SQL on the source's tables says the same.

PostgreSQL is the judge: each view stands beside a query that it can run. `verify` must agree.
"""

import decimal
import json
import threading

from harness import TRADE_DOMAINS, TRADE_VIEWS, ExitCode, Traders, Workload, add_trade, wait_for
from harness.shop import own

# view → (the pipeline's SQL, PostgreSQL's; None: as it is)
VIEWS = {
    "order_lines": ("SELECT i.order_id, i.line, i.sku, i.quantity * i.price_cents AS cents, o.user_id, o.status "
                    "FROM order_items i JOIN orders o ON o.id = i.order_id", None),
    "user_orders": ("SELECT u.id, u.country, o.id AS order_id, o.total_cents "
                    "FROM users u LEFT JOIN orders o ON o.user_id = u.id AND o.status <> 'test'", None),
    "by_country": ("SELECT country, count(*) AS lines, count(DISTINCT id) AS users, count(order_id) AS orders, "
                   "sum(total_cents) AS cents, max(total_cents) AS most FROM user_orders GROUP BY country", None),
    "countries": ("SELECT DISTINCT upper(country) AS country FROM users", None),
    "by_user": ("SELECT user_id, count(*) AS orders, sum(total_cents) AS cents, min(total_cents) AS least, "
                "bool_or(status = 'paid') AS any_paid FROM orders GROUP BY user_id HAVING count(*) > 1", None),
    "newest": ("SELECT user_id, id, status, total_cents FROM orders "
               "QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY id DESC) = 1",
               "SELECT DISTINCT ON (user_id) user_id, id, status, total_cents FROM orders ORDER BY user_id, id DESC"),
    "everything": ("SELECT id, 'user' AS kind FROM users UNION ALL SELECT id, 'order' AS kind FROM orders", None),
    "totals": ("SELECT count(*) AS orders, sum(total_cents) AS cents FROM orders", None),
    "sold": ("SELECT p.sku, p.title, sum(l.cents) AS cents, count(*) AS lines "
             "FROM order_lines l JOIN products p ON p.sku = l.sku GROUP BY p.sku, p.title", None),
    "plain": ("SELECT id, lower(trim(email)) AS email FROM users WHERE country IS NOT NULL", None),
}


def yaml_views(names=None):
    return {name: {"sql": sql} for name, (sql, _) in VIEWS.items() if names is None or name in names}


def text(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, decimal.Decimal):
        value = value.normalize()
        return format(value, "f")
    return str(value)


def judged_by_postgres(pipeline, client, database, views=VIEWS):
    """Every view holds what PostgreSQL answers. Nobody writes meanwhile."""
    answers = {}
    for name, (sql, other) in views.items():
        database.execute(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {other or sql}")
    for name in views:
        wanted = sorted([tuple(text(cell) for cell in row) for row in database.rows(f"SELECT * FROM {name}")], key=str)
        got = sorted([tuple(text(cell) for cell in list(row.values())[:-1])  # behind: _unrepresentable
                      for row in pipeline.query(client, f"SELECT * FROM {name}")], key=str)
        assert got == wanted, f"view {name} of {client}: {len(got)} rows, PostgreSQL says {len(wanted)}"
        answers[name] = len(wanted)
    for name in reversed(views):
        database.execute(f"DROP VIEW pg_temp.{name}")
    return answers


def test_views_follow_every_change_and_kills(shops, pipelines):
    acme, globex = shops("acme", "globex")
    writers = [Workload(acme, seed=71).seed_rows(), Workload(globex, seed=72).seed_rows()]
    pipeline = pipelines({"acme": acme, "globex": globex}, views=yaml_views()).start_and_wait()
    for _ in range(3):
        for writer in writers:
            writer.start(rate=150)
        threading.Event().wait(2)  # writers go on while the pipeline is killed
        pipeline.kill()
        for writer in writers:
            writer.stop()
        pipeline.start_and_wait()
    for writer in writers:
        writer.run(60)
        writer.close()
    pipeline.wait_queryable()
    for client, database in (("acme", acme), ("globex", globex)):
        counts = judged_by_postgres(pipeline, client, database)
        assert min(counts.values()) > 0, counts
    pipeline.verify_clean()
    acme.execute("TRUNCATE orders, order_items")
    pipeline.wait_queryable()
    judged_by_postgres(pipeline, "acme", acme)
    judged_by_postgres(pipeline, "globex", globex)


def test_joins_of_six_domains_under_updates_and_kills(shops, pipelines):
    (acme,) = shops("acme")
    add_trade(acme)
    writers = [Workload(acme, seed=81).seed_rows(users=80, products=60, orders=200), Traders(acme, seed=82).seed_rows()]
    pipeline = pipelines({"acme": acme}, domains=TRADE_DOMAINS,
                         views={name: {"sql": sql} for name, (sql, _) in TRADE_VIEWS.items()}).start_and_wait()
    for _ in range(2):
        writers[0].start(rate=100)
        writers[1].start(rate=40)
        threading.Event().wait(2)  # writers go on while the pipeline is killed
        pipeline.kill()
        for writer in writers:
            writer.stop()
        pipeline.start_and_wait()
    for writer in writers:
        writer.close()
    pipeline.wait_queryable(limit=120)
    counts = judged_by_postgres(pipeline, "acme", acme, TRADE_VIEWS)
    assert min(counts.values()) > 0, counts
    pipeline.verify_clean()


def test_a_customer_with_many_orders_is_renamed_and_moved(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email, country) SELECT g, g || '@x', 'de' FROM generate_series(1, 3) g")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, 1, 'new', g "
                 "FROM generate_series(1, 30000) g")
    views = {name: VIEWS[name] for name in ("user_orders", "by_country")}
    pipeline = pipelines({"acme": acme}, views=yaml_views(views)).start_and_wait()
    pipeline.wait_queryable()
    judged_by_postgres(pipeline, "acme", acme, views)
    acme.execute("UPDATE users SET country = 'fr' WHERE id = 1")
    acme.execute("UPDATE orders SET user_id = 2 WHERE id % 2 = 0; UPDATE users SET country = 'US' WHERE id = 1; "
                 "DELETE FROM orders WHERE id % 3 = 0; UPDATE users SET country = NULL WHERE id = 2")
    pipeline.kill()
    pipeline.start_and_wait()
    acme.execute("UPDATE users SET country = 'jp' WHERE id = 1; DELETE FROM users WHERE id = 2")
    pipeline.wait_queryable(limit=120)
    judged_by_postgres(pipeline, "acme", acme, views)


def test_a_changed_file_computes_changed_views_again(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=73).seed_rows()
    pipeline = pipelines({"acme": {"database": acme, "attributes": {"plan": "gold"}}},
                         views=yaml_views(["plain", "totals", "user_orders", "by_country"])).start_and_wait()
    writer.run(50)
    pipeline.wait_queryable()
    pipeline.terminate()

    # A filter by row, an aggregate's input, views on top of it, new views, an attribute.
    changed = dict(VIEWS)
    changed["plain"] = ("SELECT id, upper(email) AS email, country FROM users WHERE country = 'de'", None)
    changed["totals"] = ("SELECT count(*) AS orders, sum(total_cents) AS cents FROM orders WHERE status <> 'new'", None)
    pipeline.content["views"] = {name: {"sql": sql} for name, (sql, _) in changed.items()}
    pipeline.content["views"]["plans"] = {"sql": "SELECT id, client.plan FROM users"}
    pipeline.content["views"]["plan_counts"] = {
        "sql": "SELECT client.plan, count(*) AS users FROM users GROUP BY ALL"}
    pipeline.write()
    pipeline.start()
    writer.run(20)
    pipeline.wait_state("streaming")
    pipeline.kill()  # in the middle of it, perhaps
    pipeline.start_and_wait()
    pipeline.wait_queryable(limit=120)
    judged_by_postgres(pipeline, "acme", acme, changed)
    users = acme.value("SELECT count(*) FROM users")
    assert pipeline.query("acme", "SELECT plan, users FROM plan_counts") == [{"plan": "gold", "users": users}] or \
        pipeline.query("acme", "SELECT plan, users FROM plan_counts") == [{"plan": "gold", "users": str(users)}]

    pipeline.terminate()
    pipeline.content["clients"]["acme"]["attributes"] = {"plan": "silver"}
    pipeline.write()
    pipeline.start_and_wait()
    pipeline.wait_queryable(limit=120)
    assert pipeline.value("acme", "SELECT count() FROM plans WHERE plan = 'silver'") in (users, str(users))
    assert pipeline.value("acme", "SELECT count() FROM plans WHERE plan <> 'silver'") in (0, "0")
    rows = pipeline.query("acme", "SELECT plan, users FROM plan_counts")
    assert [(row["plan"], int(row["users"])) for row in rows] == [("silver", users)]
    judged_by_postgres(pipeline, "acme", acme, changed)
    writer.close()
    pipeline.verify_clean()


def test_rows_that_cannot_be_computed_are_listed_shown_and_computed_again(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email, name) VALUES (1, 'a', '10'), (2, 'b', 'no number'), (3, 'c', '30')")
    pipeline = pipelines({"acme": acme}, views={
        "numbers": {"sql": "SELECT id, CAST(name AS INTEGER) AS number FROM users"},
        "total": {"sql": "SELECT sum(CAST(name AS INTEGER)) AS total FROM users"}}).start_and_wait()
    pipeline.wait_queryable()
    assert [int(row["id"]) for row in pipeline.query("acme", "SELECT id FROM numbers ORDER BY id")] == [1, 3]
    assert int(pipeline.value("acme", "SELECT total FROM total")) == 40
    pipeline.verify_clean()
    letters = pipeline.command("dead-letters", "list").expect(ExitCode.OK).output
    assert letters.count("no number") == 2 and "numbers" in letters and "total" in letters
    shown = pipeline.command("dead-letters", "show", "--view", "numbers").expect(ExitCode.OK).output
    assert '"email":"b"' in shown, "the event is not shown"
    unknown = pipeline.command("dead-letters", "show", "0123")
    assert unknown.exit_code == ExitCode.USAGE and "no dead letter has the id 0123" in unknown.errors
    pipeline.command("dead-letters", "retry", "--client", "acme", "--view", "numbers").expect(ExitCode.OK)
    acme.execute("UPDATE users SET name = '20' WHERE id = 2")
    pipeline.wait_queryable()
    assert int(pipeline.value("acme", "SELECT total FROM total")) == 60
    assert "no dead letters" in pipeline.command("dead-letters", "list").expect(ExitCode.OK).output


def test_letters_of_united_and_joined_rows_are_found_by_their_rows_and_told_again(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email, name) VALUES (1, '1', '10'), (2, 'b', 'no number'), (3, '3', '30')")
    pipeline = pipelines({"acme": acme}, views={
        "both": {"sql": "SELECT id, CAST(name AS INTEGER) AS number FROM users UNION ALL SELECT id, CAST(email AS INTEGER) FROM users"},
        "pairs": {"sql": "SELECT a.id, CAST(b.name AS INTEGER) AS number FROM users a JOIN users b ON a.id = b.id"}}).start_and_wait()
    pipeline.wait_queryable()

    def letters():
        listed = json.loads(pipeline.command("dead-letters", "list", "--json").expect(ExitCode.OK).output)
        return [(letter["view"], letter["key"], letter["id"]) for letter in listed]

    def traced(key):
        answer = pipeline.command("trace", "--client", "acme", "--json", "users", key).expect(ExitCode.OK).output
        return [(letter["view"], letter["key"], letter["id"]) for letter in json.loads(answer)["dead_letters"]]

    told = letters()
    assert [view for view, _, _ in told] == ["both", "both", "pairs"], told
    assert traced("2") == told and traced("1") == []
    for view in ("both", "pairs"):
        pipeline.command("dead-letters", "drop", "--client", "acme", "--view", view).expect(ExitCode.OK)
        wait_for(lambda view=view: all(of != view for of, _, _ in letters()), 30, "the letters to be dropped")
        pipeline.command("dead-letters", "retry", "--client", "acme", "--view", view).expect(ExitCode.OK)
        wait_for(lambda: letters() == told, 30, "what failed to be told again")


def test_verify_knows_what_could_not_be_computed_and_letters_go_with_their_rows(shops, pipelines):
    """Behind joins, of groups, and of first rows: what is withdrawn is excepted, and not listed for ever."""
    (acme,) = shops("acme")
    own(acme, "CREATE TABLE bills (id bigint PRIMARY KEY, user_id bigint, status text, total numeric(12,2), placed timestamp);"
              "CREATE TABLE lines (bill_id bigint, line int, price numeric(10,4), quantity int, PRIMARY KEY (bill_id, line))")
    acme.execute("INSERT INTO bills VALUES (1, 1, '1', 5, '2024-01-01'), (2, 1, 'b', 'NaN', 'infinity'), "
                 "(3, 1, '3', 7, '2023-01-01'), (4, 2, '4', 1, '-infinity'), (5, 3, '5', 'NaN', '2022-01-01');"
                 "INSERT INTO lines VALUES (1, 1, 1, 1), (1, 2, 999999.9999, 2147483647), (2, 1, 2, 3)")
    pipeline = pipelines({"acme": acme}, domains={name: {"table": f"public.{name}"} for name in ("bills", "lines")}, views={
        "worth": {"sql": "SELECT l.bill_id, l.line, l.price * l.quantity AS x FROM lines l JOIN bills b ON b.id = l.bill_id"},
        "mixed": {"sql": "SELECT b.id, CAST(b.status AS INT) + l.quantity AS x FROM bills b JOIN lines l ON b.id = l.bill_id"},
        "by_user": {"sql": "SELECT b.user_id, sum(l.price * l.quantity) AS x FROM lines l JOIN bills b ON b.id = l.bill_id "
                           "GROUP BY b.user_id"},
        "newest": {"sql": "SELECT user_id, id, status FROM bills QUALIFY row_number() OVER (PARTITION BY user_id "
                          "ORDER BY placed DESC) = 1"},
        "last": {"sql": "SELECT user_id, count(*) AS n, max(placed) AS last FROM bills GROUP BY user_id"},
        "first": {"sql": "SELECT user_id, arg_min(status, placed) AS first FROM bills GROUP BY user_id"},
        "rich": {"sql": "SELECT user_id, count(*) AS n FROM bills GROUP BY user_id HAVING max(total) > 1"},
        "all": {"sql": "SELECT count(*) AS n, max(placed) AS last FROM bills"}}).start_and_wait()
    pipeline.wait_queryable()
    listed = pipeline.command("dead-letters", "list").expect(ExitCode.OK).output
    for letter in ("  lines bill_id=1, line=2", "bills id=2; lines bill_id=2, line=1", "group user_id=3", "all rows",
                   "max of 'NaN'", "bills id=4"):
        assert letter in listed, listed
    assert "#" not in listed, listed  # names that only the plan has
    by_reason = json.loads(pipeline.command("dead-letters", "list", "--reason", "MAX OF", "--json").expect(ExitCode.OK).output)
    assert [(letter["view"], letter["key"]) for letter in by_reason] == [("rich", "group user_id=1"), ("rich", "group user_id=3")]
    shown = json.loads(pipeline.command("dead-letters", "show", "--view", "mixed", "--json").expect(ExitCode.OK).output)
    assert [event["key"] for event in shown[0]["events"]] == [{"id": 1}, {"bill_id": 1, "line": 2}], shown
    assert json.loads(pipeline.command("dead-letters", "show", "--view", "rich", "--json").output)[0]["events"] == []
    pipeline.verify_clean()
    pipeline.command("dead-letters", "drop", "--client", "acme", "--view", "rich", "--reason", "of 'nan'").expect(ExitCode.OK)
    wait_for(lambda: "no dead" in pipeline.command("dead-letters", "list", "--view", "rich").output, 30, "the letters to be dropped")
    acme.execute("UPDATE bills SET placed = '2020-01-01', total = 3, status = '2' WHERE id < 5; "
                 "DELETE FROM bills WHERE id = 5; UPDATE lines SET quantity = 1")
    pipeline.wait_queryable()
    assert "no dead letters" in pipeline.command("dead-letters", "list").output, pipeline.command("dead-letters", "list").output
    pipeline.verify_clean()


def test_a_hot_key_holds_up_no_other_client(shops, pipelines):
    """One customer's rows are joined again piece by piece; what others commit meanwhile is queryable, and said to be."""
    acme, globex = shops("acme", "globex")
    for client in (acme, globex):
        own(client, "CREATE TABLE buyers (id bigint PRIMARY KEY, country text);"
                    "CREATE TABLE sales (id bigint PRIMARY KEY, buyer bigint, cents bigint)")
    acme.execute("INSERT INTO buyers VALUES (1, 'de'); INSERT INTO sales SELECT i, 1, i FROM generate_series(1, 60000) i")
    pipeline = pipelines({"acme": acme, "globex": globex},
                         domains={name: {"table": f"public.{name}"} for name in ("buyers", "sales")}, views={
        "sold": {"sql": "SELECT s.id, s.cents, b.country FROM sales s LEFT JOIN buyers b ON b.id = s.buyer"},
        "by_country": {"sql": "SELECT country, count(*) AS n, sum(cents) AS cents FROM sold GROUP BY country"}}).start_and_wait()
    pipeline.wait_queryable()
    for country in ("fr", "jp"):
        acme.execute("UPDATE buyers SET country = %s", (country,))
        for _ in range(3):
            globex.execute("INSERT INTO sales SELECT coalesce(max(id), 0) + 1, 1, 5 FROM sales")
            pipeline.command("wait", "--client", "globex", "--seconds", 60).expect(ExitCode.OK)
            rows = pipeline.query("globex", "SELECT * FROM sold")
            assert len(rows) == globex.value("SELECT count(*) FROM sales")
            assert pipeline.client_status("globex")["lag"]["events"] == 0
    pipeline.wait_queryable()
    assert pipeline.query("acme", "SELECT country, n FROM by_country") == [{"country": "jp", "n": 60000}]
    pipeline.verify_clean()


def test_explain_and_the_files_own_tests(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, views=yaml_views(["by_user", "newest"]), settings={"tests": [
        {"name": "twice", "given": {"orders": [{"id": 1, "user_id": 7, "total_cents": 5, "status": "new"},
                                               {"id": 2, "user_id": 7, "total_cents": 6, "status": "new"}]},
         "changes": [{"update": {"orders": [{"id": 2, "status": "paid", "total_cents": 8}]}},
                     {"delete": {"orders": [{"id": 1}]}}, {"insert": {"orders": [{"id": 3, "user_id": 7, "total_cents": 1}]}}],
         "expect": {"by_user": [{"user_id": 7, "orders": 2, "cents": 9}], "newest": [{"user_id": 7, "id": 3}]}}]})
    pipeline.command("check", "--connect").expect(ExitCode.OK)
    explained = pipeline.command("explain", "by_user").expect(ExitCode.OK).output
    assert "aggregate" in explained and "key: client_id, user_id" in explained and "domain orders" in explained
    drawn = pipeline.command("explain", "newest", "--svg").expect(ExitCode.OK).output
    assert drawn.startswith("<svg") and ">view newest<" in drawn and "..." not in drawn and "by_user" not in drawn
    drawn = pipeline.command("explain", "--svg").expect(ExitCode.OK).output
    assert ">view newest<" in drawn and ">view by_user<" in drawn and drawn.count("<svg") == 1
    pipeline.content["tests"][0]["expect"]["by_user"][0]["cents"] = 10
    pipeline.write()
    failed = pipeline.command("check")
    assert failed.exit_code == 1 and "twice" in failed.errors and "+ by_user: user_id=7 orders=2 cents=9" in failed.errors
    assert failed.output.rstrip().endswith(": tests fail"), failed.output
    pipeline.content["tests"][0]["expect"]["newest"] = [{"status": "NULL", "id": 3}]
    pipeline.write()
    differs = pipeline.command("check").errors
    assert '- newest: id=3 status="NULL"' in differs and "status=NULL" in differs, differs  # a text, and none


def test_in_the_files_own_tests_an_infinity_equals_itself_alone(shops, pipelines):
    (acme,) = shops("acme")
    view = "SELECT id, CAST(status AS DOUBLE) AS w FROM orders"
    for given, expected, passes in (("5", "inf", False), ("inf", "5", False), ("inf", "-inf", False), ("inf", "inf", True), ("5", "5", True)):
        pipeline = pipelines({"acme": acme}, views={"w": view}, settings={"tests": [
            {"name": "one", "given": {"orders": [{"id": 1, "status": given}]},
             "expect": {"w": [{"id": 1, "w": float(expected)}]}}]})
        done = pipeline.command("check", "--connect")
        assert (done.exit_code == ExitCode.OK) == passes, f"{given} {expected}: {done.output}{done.errors}"


def test_rows_that_fail_and_are_no_dead_letters_are_findings(shops, pipelines):
    """The program stands still while they come: nobody can have listed them."""
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email, name) SELECT g, 'm' || g, g FROM generate_series(1, 30) g")
    pipeline = pipelines({"acme": acme}, views={
        "numbers": {"sql": "SELECT id, CAST(name AS INTEGER) AS number FROM users"},
        "total": {"sql": "SELECT sum(CAST(name AS INTEGER)) AS total FROM users"}})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    acme.execute("UPDATE users SET name = 'none' WHERE id IN (3, 4, 5, 29)")
    judged = pipeline.verify()
    assert judged.exit_code == 1, judged.output
    for view, key in (("numbers", "id=3"), ("numbers", "id=29"), ("total", "users id=4")):
        assert f"failed {key}" in judged.output, (view, judged.output)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    assert pipeline.command("dead-letters", "list").output.count("acme  numbers") == 4
