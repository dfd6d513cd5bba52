"""Tables of unusual shape: as many columns as PostgreSQL has, partitions whose columns are in another order, names that need
quotes, generated and identity columns that change."""

import pytest

from harness import ExitCode
from harness.shop import own


def domain(table, name="t"):
    return {name: {"table": table, "event": name}}


def test_a_table_of_1600_columns(shops, pipelines):
    """1,600 is PostgreSQL's limit; short types, since a row has to fit into a page."""
    (database,) = shops("wide")
    columns = ", ".join(f"c{number} {('smallint', 'boolean', 'text')[number % 3]}" for number in range(1599))
    values = ", ".join(("g % 30000", "g % 2 = 0", "'x'")[number % 3] for number in range(1599))
    own(database, f"CREATE TABLE t (id integer PRIMARY KEY, {columns})")
    database.execute(f"INSERT INTO t SELECT g, {values} FROM generate_series(1, 20) g")
    pipeline = pipelines({"wide": database}, domains=domain("public.t")).start_and_wait()
    database.execute(f"INSERT INTO t SELECT g, {values} FROM generate_series(21, 40) g")
    database.execute("UPDATE t SET c1598 = 'last' WHERE id = 30; UPDATE t SET c0 = NULL WHERE id = 31; DELETE FROM t WHERE id = 1")
    pipeline.verify_clean()
    assert pipeline.query("wide", "SELECT id, c0, c1598 FROM t WHERE id IN (30, 31) ORDER BY id") == [
        {"id": 30, "c0": 30, "c1598": "last"}, {"id": 31, "c0": None, "c1598": "x"}]


def test_partitions_may_order_their_columns_otherwise(shops, pipelines):
    (database,) = shops("shape")
    own(database, "CREATE TABLE logs (gone integer, id integer, day date, body text, PRIMARY KEY (id, day)) "
                  "PARTITION BY RANGE (day); ALTER TABLE logs DROP COLUMN gone; "
                  "CREATE TABLE logs_a PARTITION OF logs FOR VALUES FROM ('2024-01-01') TO ('2024-02-01'); "
                  "CREATE TABLE logs_b (body text, away text, day date NOT NULL, id integer NOT NULL); "
                  "ALTER TABLE logs_b DROP COLUMN away; "
                  "ALTER TABLE logs ATTACH PARTITION logs_b FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')")
    rows = "INSERT INTO logs SELECT g, date '2024-01-01' + g % 60, 'body ' || g FROM generate_series({}, {}) g"
    database.execute(rows.format(1, 120))
    pipeline = pipelines({"shape": database}, domains=domain("public.logs", "logs")).start_and_wait()
    database.execute(rows.format(121, 240))
    database.execute("UPDATE logs SET body = 'changed' WHERE id % 7 = 0; UPDATE logs SET day = day + 31 WHERE day < '2024-01-15'; "
                     "UPDATE logs SET day = day - 31 WHERE id % 13 = 0 AND day >= '2024-02-01'; DELETE FROM logs WHERE id % 11 = 0")
    pipeline.verify_clean()
    assert pipeline.value("shape", "SELECT count() FROM logs WHERE body NOT LIKE 'body %' AND body <> 'changed'") in (0, "0")


STRANGE_TABLES = ['quo"te', "it's", "two\nlines", "back\\slash", "größe 🎈", "a.b.c", "percent%s", "x" * 63, "select", "$1"]


def test_tables_and_schemas_may_have_any_name(shops, pipelines):
    (database,) = shops("shape")
    schema = 'my "own" schéma'
    quoted = {name: '"' + schema.replace('"', '""') + '"."' + name.replace('"', '""') + '"' for name in STRANGE_TABLES}
    own(database, 'CREATE SCHEMA "' + schema.replace('"', '""') + '"')
    for table in quoted.values():
        own(database, f"CREATE TABLE {table} (id integer PRIMARY KEY, v text)")
        database.execute(f"INSERT INTO {table} VALUES (1, 'snapshot')")
    domains = {f"d{number}": {"table": f"{schema}.{name}", "event": f"e{number}"} for number, name in enumerate(STRANGE_TABLES)}
    pipeline = pipelines({"shape": database}, domains=domains).start_and_wait()
    for table in quoted.values():
        database.execute(f"INSERT INTO {table} VALUES (2, 'streamed'), (3, 'gone'); UPDATE {table} SET v = 'again' WHERE id = 1; "
                         f"DELETE FROM {table} WHERE id = 3")
    pipeline.wait_queryable()
    for number, name in enumerate(STRANGE_TABLES):
        assert pipeline.query("shape", f"SELECT id, v FROM d{number} ORDER BY id") == [
            {"id": 1, "v": "again"}, {"id": 2, "v": "streamed"}], name
    pipeline.verify_clean()
    assert pipeline.client_status("shape")["warnings"] == []


@pytest.mark.parametrize("name", ['da"ta', "größe", "with space", "100%"])
def test_a_database_may_have_any_name(server, pipelines, name):
    from urllib.parse import quote  # pylint: disable=import-outside-toplevel
    admin = server.database("postgres")
    plain = "strange_database"
    database = server.create_database(plain)
    own(database, "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)")
    database.close()
    quoted = '"' + name.replace('"', '""') + '"'
    admin.execute(f"ALTER DATABASE {plain} RENAME TO {quoted}")
    try:
        url = f"postgresql://tributary@127.0.0.1:{server.port}/{quote(name)}"
        client = {"source": url, "password": server.password}
        pipeline = pipelines({"odd": client}, domains=domain("public.t"))
        pipeline.run_until_caught_up().expect(ExitCode.OK)
        pipeline.verify_clean()
        assert pipeline.count("odd", "t") == 1
    finally:
        admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", (name,))
        admin.execute(f"ALTER DATABASE {quoted} RENAME TO {plain}")
        server.drop_database(plain)


def test_generated_and_identity_columns_come_and_go(shops, pipelines):
    (database,) = shops("shape")
    own(database, "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY, v integer, "
                  "twice integer GENERATED ALWAYS AS (v * 2) STORED, s serial)")
    database.execute("INSERT INTO t (v) SELECT g FROM generate_series(1, 50) g")
    pipeline = pipelines({"shape": database}, domains=domain("public.t")).start_and_wait()
    database.execute("INSERT INTO t (v) VALUES (100); INSERT INTO t (id, v) OVERRIDING SYSTEM VALUE VALUES (-7, 1)")
    pipeline.verify_clean()
    own(database, "ALTER TABLE t ALTER twice DROP EXPRESSION")  # from now on a column like any other
    database.execute("UPDATE t SET v = 0 WHERE id < 30; INSERT INTO t (v, twice) VALUES (1, 9)")
    pipeline.wait_queryable()
    pipeline.wait_state("streaming")
    pipeline.verify_clean()
    assert pipeline.value("shape", "SELECT twice FROM t ORDER BY id DESC LIMIT 1") == 9
    own(database, "ALTER TABLE t ALTER id DROP IDENTITY; ALTER TABLE t ADD COLUMN half integer GENERATED ALWAYS AS (v / 2) STORED; "
                  "ALTER TABLE t DROP COLUMN twice")
    database.execute("INSERT INTO t (id, v) VALUES (5000, 8)")
    pipeline.wait_queryable()
    pipeline.wait_state("streaming")
    pipeline.verify_clean()


def test_inheritance_begins_and_ends_while_running(shops, pipelines):
    (database,) = shops("shape")
    own(database, "CREATE TABLE parent (id integer PRIMARY KEY, v text); CREATE TABLE child (id integer PRIMARY KEY, v text, w text)")
    domains = {**domain("public.parent", "parent"), **domain("public.child", "child")}
    pipeline = pipelines({"shape": database}, domains=domains).start_and_wait()
    database.execute("INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 'c', 'w')")
    own(database, "ALTER TABLE child INHERIT parent")
    database.execute("UPDATE parent SET v = v || '!'; INSERT INTO child VALUES (2, 'c', 'w'); DELETE FROM parent WHERE id = 1")
    own(database, "CREATE TABLE grandchild (PRIMARY KEY (id)) INHERITS (child)")
    database.execute("INSERT INTO grandchild VALUES (9, 'g', 'g'); INSERT INTO parent VALUES (3, 'p')")
    pipeline.verify_clean()
    assert pipeline.count("shape", "parent") == 1 and pipeline.count("shape", "child") == 1
    own(database, "ALTER TABLE child NO INHERIT parent")
    database.execute("UPDATE parent SET v = 'alone'; TRUNCATE ONLY parent")
    pipeline.verify_clean()
    assert pipeline.count("shape", "parent") == 0 and pipeline.count("shape", "child") == 1


@pytest.mark.long
@pytest.mark.parametrize("way", ["snapshot", "stream"])
def test_a_value_of_a_hundred_megabytes(shops, pipelines, way):
    (database,) = shops("big")
    own(database, "CREATE TABLE t (id integer PRIMARY KEY, v text, n integer)")
    pipeline = pipelines({"big": database}, domains=domain("public.t"))
    if way == "stream":
        pipeline.start_and_wait()
    database.execute("INSERT INTO t VALUES (1, repeat('x', 100 << 20), 1), (2, 'small', 2)")
    if way == "snapshot":
        pipeline.start_and_wait(limit=90)
    database.execute("UPDATE t SET n = 5 WHERE id = 1")  # its long value is not sent again
    pipeline.verify_clean()
    assert pipeline.query("big", "SELECT id, length(v) AS bytes, n FROM t ORDER BY id") == [
        {"id": 1, "bytes": 100 << 20, "n": 5}, {"id": 2, "bytes": 5, "n": 2}]
