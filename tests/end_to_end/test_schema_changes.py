"""Tables that change their shape while the pipeline runs and while it does not."""

import pytest

from harness import ExitCode
from harness.shop import own

DOMAINS = {"items": {"table": "public.items", "event": "item"}}


@pytest.fixture
def items(shops):
    (database,) = shops("schema")
    own(database, "CREATE TYPE mood AS ENUM ('sad', 'ok'); "
                  "CREATE TABLE items (id bigint PRIMARY KEY, name text, amount integer, mood mood, note text);"
                  "ALTER TABLE items ALTER note SET STORAGE EXTERNAL")
    database.execute("INSERT INTO items SELECT g, 'item ' || g, g, 'ok', repeat('x', 5000) "
                     "FROM generate_series(1, 300) g")
    return database


@pytest.fixture(params=["running", "stopped"])
def around(request, items, pipelines):
    """Applies changes to `items` while the pipeline runs or is stopped, then has it caught up and verified."""
    pipeline = pipelines({"schema": items}, domains=DOMAINS)
    if request.param == "running":
        pipeline.start_and_wait()
    else:
        pipeline.run_until_caught_up().expect(ExitCode.OK)

    def apply(*statements):
        for statement in statements:
            own(items, statement)
        if request.param == "running":
            pipeline.wait_queryable()
            pipeline.wait_state("streaming")
        else:
            pipeline.run_until_caught_up().expect(ExitCode.OK)
        pipeline.verify_clean()
        return pipeline

    return apply


def test_a_column_is_added_with_a_default_for_existing_rows(around):
    pipeline = around("UPDATE items SET amount = 1 WHERE id = 1",
                      "ALTER TABLE items ADD COLUMN colour text DEFAULT 'red'",
                      "UPDATE items SET amount = 2 WHERE id = 2",
                      "INSERT INTO items (id, name, colour) VALUES (1001, 'new', 'blue')")
    assert pipeline.value("schema", "SELECT count() FROM items WHERE colour = 'red'") in (300, "300")


def test_a_column_is_added_without_default_and_not_null(around):
    around("ALTER TABLE items ADD COLUMN plain integer",
           "ALTER TABLE items ADD COLUMN needed integer NOT NULL DEFAULT 5",
           "UPDATE items SET plain = 3 WHERE id < 10")


def test_a_column_is_dropped(around):
    around("UPDATE items SET amount = 7 WHERE id = 7", "ALTER TABLE items DROP COLUMN amount",
           "UPDATE items SET name = 'after' WHERE id = 8", "INSERT INTO items (id, name) VALUES (1002, 'new')")


def test_a_column_is_renamed(around):
    around("ALTER TABLE items RENAME COLUMN amount TO quantity", "UPDATE items SET quantity = 9 WHERE id = 9",
           "INSERT INTO items (id, quantity) VALUES (1003, 4)")


def test_a_column_is_renamed_and_has_its_name_back(around):
    around("ALTER TABLE items RENAME COLUMN amount TO quantity; UPDATE items SET quantity = 9000 WHERE id = 9; "
           "ALTER TABLE items RENAME COLUMN quantity TO amount")


def test_two_columns_have_each_others_names_for_a_while(around):
    exchange = ("ALTER TABLE items RENAME COLUMN name TO other; ALTER TABLE items RENAME COLUMN note TO name; "
                "ALTER TABLE items RENAME COLUMN other TO note")
    around(f"{exchange}; UPDATE items SET note = 'was the name' WHERE id = 9; {exchange}")


def test_a_column_is_dropped_and_added_again_under_its_name(around):
    pipeline = around("ALTER TABLE items DROP COLUMN amount", "ALTER TABLE items ADD COLUMN amount integer",
                      "UPDATE items SET amount = 10 WHERE id = 10")
    assert int(pipeline.value("schema", "SELECT count() FROM items WHERE amount IS NOT NULL")) == 1


@pytest.mark.parametrize(("kind", "using"),
                         [("bigint", "amount"), ("numeric(20,4)", "amount"), ("text", "amount::text")])
def test_a_type_changes(around, kind, using):
    around(f"ALTER TABLE items ALTER COLUMN amount TYPE {kind} USING {using}",
           "UPDATE items SET amount = '42' WHERE id = 11", "INSERT INTO items (id, amount) VALUES (1004, '7')")


def test_enum_values_are_added_and_renamed(around):
    around("ALTER TYPE mood ADD VALUE 'glad'", "UPDATE items SET mood = 'glad' WHERE id = 12",
           "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", "INSERT INTO items (id, mood) VALUES (1005, 'blue')")


# No event tells of these: every row has another value, and nobody wrote one.
@pytest.mark.parametrize("statement", ["ALTER TABLE items ALTER COLUMN amount TYPE integer USING amount * 2",
                                       "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"])
def test_values_that_change_without_an_event(around, statement):
    around(statement, "CLUSTER items USING items_pkey", "UPDATE items SET name = 'after' WHERE id = 12")


def test_rewrites_of_the_table_change_nothing(around, items):
    around("UPDATE items SET amount = 13 WHERE id = 13", "CLUSTER items USING items_pkey",
           "UPDATE items SET amount = 14 WHERE id = 14")
    for statement in ("VACUUM FULL items", "REINDEX TABLE CONCURRENTLY items", "VACUUM (FREEZE, ANALYZE) items"):
        items.execute(statement)  # each of them alone, outside a transaction
    around("ALTER TABLE items SET (fillfactor = 50)", "UPDATE items SET amount = 15 WHERE id = 15")


def test_truncate_and_new_rows_under_old_keys(around):
    pipeline = around("TRUNCATE items", "INSERT INTO items (id, name) VALUES (1, 'reborn'), (2, 'reborn')",
                      "TRUNCATE items CASCADE", "INSERT INTO items (id, name) VALUES (2, 'again')")
    assert pipeline.count("schema", "items") == 1


def test_a_table_is_dropped_and_made_again(around):
    pipeline = around("DROP TABLE items", "CREATE TABLE items (id bigint PRIMARY KEY, name text, other date)",
                      "INSERT INTO items VALUES (7, 'another table', '2024-01-01'), (1001, 'new', NULL)")
    assert pipeline.count("schema", "items") == 2


@pytest.mark.parametrize("statement", ["ALTER TABLE items DROP CONSTRAINT items_pkey, ADD PRIMARY KEY (name)",
                                       "ALTER TABLE items DROP CONSTRAINT items_pkey, ADD PRIMARY KEY (id, name)",
                                       "ALTER TABLE items RENAME COLUMN id TO number",
                                       "ALTER TABLE items DROP COLUMN id, ADD PRIMARY KEY (name)"])
def test_the_primary_key_changes(around, statement):
    around("UPDATE items SET amount = 1 WHERE id = 1", statement, "UPDATE items SET note = 'short' WHERE name LIKE 'item 1%'",
           "DELETE FROM items WHERE name LIKE '%9'", "UPDATE items SET name = 'again ' || name WHERE name LIKE 'item 2%'")


@pytest.mark.parametrize("kind", ["numeric", "text", "integer"])
def test_the_type_of_the_key_changes(around, kind):
    around("UPDATE items SET amount = 1 WHERE id = 1", f"ALTER TABLE items ALTER COLUMN id TYPE {kind}",
           "UPDATE items SET amount = 2 WHERE name = 'item 2'", "DELETE FROM items WHERE name = 'item 3'",
           "INSERT INTO items (id, name) VALUES ('4001', 'new')")


def test_a_table_goes_to_another_schema_and_another_comes_from_one(around):
    pipeline = around("CREATE SCHEMA past; CREATE SCHEMA information", "CREATE TABLE past.items (LIKE items INCLUDING ALL)",
                      "INSERT INTO past.items (id, name) VALUES (1, 'from the past')",
                      "ALTER TABLE items SET SCHEMA information", "ALTER TABLE past.items SET SCHEMA public",
                      "INSERT INTO items (id, name) VALUES (2, 'after')")
    assert pipeline.count("schema", "items") == 2


def test_a_schema_change_inside_a_transaction_with_rows(around):
    around("BEGIN; UPDATE items SET amount = 15 WHERE id = 15; ALTER TABLE items ADD COLUMN late integer DEFAULT 3; "
           "UPDATE items SET late = 4 WHERE id = 16; SAVEPOINT s; ALTER TABLE items ADD COLUMN never integer; "
           "INSERT INTO items (id, never) VALUES (1006, 1); ROLLBACK TO s; "
           "INSERT INTO items (id, late) VALUES (1006, 2); COMMIT")


def test_an_unchanged_long_value_survives_all_of_it(around):
    pipeline = around("ALTER TABLE items ADD COLUMN extra integer", "UPDATE items SET extra = 1",
                      "UPDATE items SET id = id + 5000 WHERE id <= 20")
    assert int(pipeline.value("schema", "SELECT count() FROM items WHERE length(note) = 5000")) == 300


def test_a_table_is_swapped_by_renames(around):
    around("CREATE TABLE items_new (LIKE items INCLUDING ALL)",
           "INSERT INTO items_new SELECT * FROM items WHERE id <= 50",
           "BEGIN; ALTER TABLE items RENAME TO items_old; ALTER TABLE items_new RENAME TO items; COMMIT",
           "INSERT INTO items (id, name) VALUES (1007, 'in the new table')")


UNNOTICED = ["UPDATE {t} SET name = 'meanwhile' WHERE id % 10 = 3", "DELETE FROM {t} WHERE id % 10 = 4",
             "INSERT INTO {t} (id, name, amount) VALUES (1008, 'meanwhile', 1008)"]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("there", "back", "called"), [
    ("CREATE UNIQUE INDEX other ON items (amount); ALTER TABLE items ALTER amount SET NOT NULL; "
     "ALTER TABLE items REPLICA IDENTITY USING INDEX other", "ALTER TABLE items REPLICA IDENTITY DEFAULT", "items"),
    ("ALTER TABLE items DROP CONSTRAINT items_pkey, ADD PRIMARY KEY (id, amount)",
     "ALTER TABLE items DROP CONSTRAINT items_pkey, ADD PRIMARY KEY (id)", "items"),
    ("ALTER TABLE items ALTER amount TYPE text", "ALTER TABLE items ALTER amount TYPE integer USING amount::integer", "items"),
    ("ALTER TABLE items RENAME TO gone", "ALTER TABLE gone RENAME TO items", "gone"),
    ("CREATE SCHEMA elsewhere; ALTER TABLE items SET SCHEMA elsewhere", "ALTER TABLE elsewhere.items SET SCHEMA public",
     "elsewhere.items"),
    ("ALTER TABLE items RENAME TO gone; CREATE TABLE items (LIKE gone INCLUDING ALL)",
     "DROP TABLE items; ALTER TABLE gone RENAME TO items", "gone")],
    ids=["identity", "primary key", "type", "renamed", "schema", "swapped"])
def test_what_is_taken_back_leaves_no_change_behind(around, there, back, called, together):
    statements = ["UPDATE items SET note = 'before' WHERE id = 1", there, *[change.format(t=called) for change in UNNOTICED], back]
    around(*(["BEGIN; " + "; ".join(statements) + "; COMMIT"] if together else statements),
           "UPDATE items SET note = 'after' WHERE id = 2")


def test_a_number_that_was_a_text_for_a_while_counts_again(shops, pipelines):
    (database,) = shops("types")
    own(database, "CREATE TABLE t (id integer PRIMARY KEY, u integer NOT NULL, v text); "
                  "INSERT INTO t SELECT g, g + 1000, 'i' FROM generate_series(1, 100) g")
    views = {"every": {"sql": "SELECT * FROM t"}, "total": {"sql": "SELECT count(*) AS c, sum(u) AS s FROM t"}}
    pipeline = pipelines({"types": database}, domains={"t": {"table": "public.t", "event": "t"}}, views=views)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    for number in range(3):  # the table is read before the stream has told of the text, or after: as it comes
        for statement in ("ALTER TABLE t ALTER u TYPE text", f"UPDATE t SET u = '{number}777' WHERE id = 8; UPDATE t SET v = 'k' WHERE id = 9",
                          "ALTER TABLE t ALTER u TYPE integer USING u::integer", f"UPDATE t SET v = '{number}' WHERE id = 10"):
            own(database, statement)
        pipeline.run_until_caught_up().expect(ExitCode.OK)
        pipeline.verify_clean()
    assert pipeline.command("dead-letters", "list").expect(ExitCode.OK).output.strip() == "no dead letters"


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_two_tables_have_each_others_names_for_a_while(shops, pipelines, running, together):
    (database,) = shops("names")
    for name in ("one", "two"):
        own(database, f"CREATE TABLE {name} (id integer PRIMARY KEY, name text); "
                      f"INSERT INTO {name} SELECT g, '{name}' FROM generate_series(1, 50) g")
    pipeline = pipelines({"names": database}, domains={name: {"table": f"public.{name}", "event": name} for name in ("one", "two")})
    if running:
        pipeline.start_and_wait()
    else:
        pipeline.run_until_caught_up().expect(ExitCode.OK)
    exchange = "ALTER TABLE one RENAME TO gone; ALTER TABLE two RENAME TO one; ALTER TABLE gone RENAME TO two"
    statements = [exchange, "UPDATE one SET name = 'in two' WHERE id = 3", "DELETE FROM two WHERE id = 5",
                  "INSERT INTO one VALUES (60, 'of two')", exchange]
    for statement in ["BEGIN; " + "; ".join(statements) + "; COMMIT"] if together else statements:
        own(database, statement)
    if running:
        pipeline.wait_queryable()
    else:
        pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()


def test_a_table_that_does_not_fit_any_more_is_set_aside_alone(shops, pipelines):
    first, second = shops("first", "second")
    pipeline = pipelines({"first": first, "second": second}).start_and_wait()
    own(first, "ALTER TABLE orders DROP CONSTRAINT orders_pkey")
    first.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'no key', 1)")
    first.execute("INSERT INTO users (id, email) VALUES (1, 'flows on')")
    second.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'fine', 1)")
    entry = pipeline.wait_status(
        lambda s: next((c for c in s["clients"] if c["client"] == "first" and c["warnings"]), None), 40,
        "the table to be set aside")
    assert any("orders" in warning for warning in entry["warnings"])
    pipeline.wait_status(lambda _: pipeline.count("first", "users") == 1, 30, "the client's other table")
    assert pipeline.count("second", "orders") == 1
    pipeline.verify("--client", "second").expect(ExitCode.OK)


def test_of_two_clients_whose_types_conflict_the_one_that_changed_gives_way(shops, pipelines):
    """Although it sorts first; and so it stays after a restart, since the lock file has it."""
    first, second = shops("first", "second")
    pipeline = pipelines({"first": first, "second": second}).start_and_wait()
    own(first, "ALTER TABLE orders ALTER COLUMN status TYPE boolean USING true")
    first.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, true, 1)")

    def is_aside(status):
        warned = {c["client"]: any("orders is set aside" in warning for warning in c["warnings"])
                  for c in status["clients"]}
        assert not warned["second"], "the client that did not change"
        return warned["first"]

    pipeline.wait_status(is_aside, 40, "the client that changed to be set aside")
    second.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'fine', 1)")
    pipeline.wait_status(lambda _: pipeline.count("second", "orders") == 1, 30, "the other's row")
    pipeline.terminate()
    pipeline.start()
    pipeline.wait_status(is_aside, 40, "the same after a restart")
    pipeline.verify("--client", "second").expect(ExitCode.OK)


def test_a_column_that_one_client_drops_is_null_in_all_of_its_rows(shops, pipelines):
    databases = shops("first", "second")
    for database in databases:
        database.execute("INSERT INTO users (id, email) SELECT g, g || '@x' FROM generate_series(1, 20) g")
    first = databases[0]
    pipeline = pipelines(dict(zip(("first", "second"), databases)), views={
        "mails": {"sql": "SELECT id, email FROM users"},
        "known": {"sql": "SELECT count(email) AS n FROM users"}}).start_and_wait()
    pipeline.wait_queryable()
    own(first, "ALTER TABLE users DROP COLUMN email")
    first.execute("DELETE FROM users WHERE id = 1; INSERT INTO users (id) VALUES (21)")
    pipeline.wait_status(lambda _: int(pipeline.value("first", "SELECT count(email) FROM mails")) == 0, 40,
                         "no mail of the client")
    pipeline.wait_queryable()
    assert int(pipeline.value("second", "SELECT n FROM known")) == 20
    pipeline.verify_clean()


@pytest.mark.parametrize("change, row, back", [
    ("DROP COLUMN email", "(id) VALUES (21)", "ADD COLUMN email text"),
    ("RENAME COLUMN email TO mail", "(id, mail) VALUES (21, '21@x')", "RENAME COLUMN mail TO email")])
def test_a_column_that_views_use_and_one_client_lacks_is_told_of_that_client(shops, pipelines, change, row, back):
    databases = shops("first", "second")
    for database in databases:
        database.execute("INSERT INTO users (id, email) SELECT g, g || '@x' FROM generate_series(1, 20) g")
    first = databases[0]
    pipeline = pipelines(dict(zip(("first", "second"), databases)), views={
        "mails": {"sql": "SELECT id, email FROM users"}, "ids": {"sql": "SELECT id FROM users"},
        "known": {"sql": "SELECT count(email) AS n FROM users"}}).start_and_wait()
    pipeline.wait_queryable()

    def warnings(client):
        return pipeline.client_status(client)["warnings"]

    assert warnings("first") == warnings("second") == []
    own(first, f"ALTER TABLE users {change}")
    first.execute(f"INSERT INTO users {row}")
    pipeline.wait_status(lambda _: warnings("first") != [], 40, "the column that the client lacks is told")
    (told,) = warnings("first")
    assert told.startswith("domain users: the client's table public.users has no column email, which others have")
    assert "where views use it: known, mails. " in told
    assert f"warning: {told}" in pipeline.command("status").output
    assert warnings("second") == []
    pipeline.wait_queryable()
    pipeline.verify_clean()
    pipeline.kill()
    pipeline.start_and_wait()
    assert warnings("first") == [told]
    own(first, f"ALTER TABLE users {back}")
    first.execute("INSERT INTO users (id, email) VALUES (22, '22@x')")
    pipeline.wait_status(lambda _: warnings("first") == [], 40, "the column is there again")
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_tables_are_widened_before_the_rows_that_need_it_come(shops, pipelines):
    """A start finds wider rows and new columns in many tables at once: none wraps around, and none is left out."""
    (database,) = shops("wide")
    names = [f"t{number}" for number in range(6)]
    for name in names:
        own(database, f"CREATE TABLE {name} (id bigint PRIMARY KEY, n int, s smallint)")
        database.execute(f"INSERT INTO {name} SELECT g, g, g FROM generate_series(1, 20) g")
    pipeline = pipelines({"wide": database}, domains={name: {"table": f"public.{name}"} for name in names})
    pipeline.start_and_wait()
    pipeline.kill()
    for name in names:
        own(database, f"ALTER TABLE {name} ALTER n TYPE bigint, ALTER s TYPE int, ADD COLUMN extra text; "
                      f"UPDATE {name} SET n = 9999999999, s = 100000, extra = 'told' WHERE id < 9")
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    for name in names:
        told = f"SELECT count() FROM {name} WHERE n = 9999999999 AND s = 100000 AND extra = 'told'"
        pipeline.wait_status(lambda _, sql=told: int(pipeline.value("wide", sql)) == 8, 30, f"the rows of {name}")
    pipeline.verify_clean()


def test_a_column_becomes_a_type_that_its_table_cannot_grow_into(around):
    pipeline = around("ALTER TABLE items ALTER COLUMN amount TYPE text USING 'x' || amount",
                      "INSERT INTO items (id, amount) VALUES (1002, 'hello')")
    assert pipeline.value("schema", "SELECT amount FROM items WHERE id = 7") == "x7"
    assert pipeline.value("schema", "SELECT count() FROM items WHERE amount IS NULL") in (0, "0")


def test_columns_made_and_widened_while_it_is_killed_lose_no_value(shops, pipelines):
    """The first rows that have them are processed at once, and reach the analytics only after their tables were altered."""
    acme, globex = shops("acme", "globex")
    tables = [f"t{i}" for i in range(6)]
    for database in (acme, globex):
        for table in tables:
            own(database, f"CREATE TABLE {table} (id bigint PRIMARY KEY, n int); INSERT INTO {table} SELECT g, g FROM generate_series(1, 20) g")
    pipeline = pipelines({"acme": acme, "globex": globex}, domains={t: {"table": f"public.{t}"} for t in tables},
                         views={f"of_{t}": f"SELECT * FROM {t}" for t in tables}).start_and_wait()
    pipeline.wait_queryable()
    for table in tables:
        pipeline.kill()
        own(acme, f"ALTER TABLE {table} ADD x text; UPDATE {table} SET x = 'new' WHERE id < 9; "
                  f"ALTER TABLE {table} ALTER n TYPE bigint; UPDATE {table} SET n = 9999999999 WHERE id > 15")
        pipeline.start_and_wait()
        acme.execute(f"UPDATE {table} SET n = 5 WHERE id = 12")
        pipeline.wait_queryable()
        rows = pipeline.query("acme", f"SELECT id, n, x FROM of_{table} ORDER BY id")
        assert [(int(r["id"]), int(r["n"]), r["x"]) for r in rows] == acme.rows(f"SELECT id, n, x FROM {table} ORDER BY id"), table
    pipeline.verify_clean()


@pytest.mark.parametrize("others_too", [False, True], ids=["of one client", "beside another client"])
def test_a_column_comes_back_under_its_name_with_a_type_that_its_table_cannot_hold(shops, pipelines, others_too):
    """The table in the analytics has it still, as it was."""
    names = ("acme", "globex") if others_too else ("acme",)
    databases = dict(zip(names, shops(*names)))
    for database in databases.values():
        own(database, "CREATE TABLE notes (id integer PRIMARY KEY, v text)")
        database.execute("INSERT INTO notes SELECT g, 'v' FROM generate_series(1, 20) g")
    pipeline = pipelines(databases, domains={"notes": {"table": "public.notes", "event": "note"}}).start_and_wait()
    for kind, value in (("text", "'a text'"), ("integer", "7"), ("text", "'again'")):
        own(databases["acme"], f"ALTER TABLE notes ADD z {kind}")
        databases["acme"].execute(f"UPDATE notes SET z = {value} WHERE id % 3 = 0")
        for database in databases.values():
            database.execute("INSERT INTO notes (id) SELECT max(id) + 1 FROM notes")
        pipeline.wait_queryable()
        pipeline.verify_clean()
        assert pipeline.status()["problems"] == []
        own(databases["acme"], "ALTER TABLE notes DROP z")
        databases["acme"].execute("UPDATE notes SET v = 'without' WHERE id % 5 = 0")
        pipeline.wait_queryable()
        pipeline.verify_clean()
