"""Tables that get other names, or become another's partition, of which PostgreSQL 15 sends no word: a schema is renamed, or a
partitioned table, or a captured table is a guest in another for a while."""

import pytest

from harness import ExitCode, wait_for
from harness.shop import own

WHOLE = "WITH (publish_via_partition_root = true)"
PUBLICATIONS = [None, f"FOR ALL TABLES {WHOLE}", f"FOR TABLES IN SCHEMA public, live, staging {WHOLE}"]
COLUMNS = "(id integer, day integer, v text, PRIMARY KEY (id, day))"
PLAIN = f"CREATE SCHEMA live; CREATE SCHEMA staging; CREATE TABLE live.t {COLUMNS}; CREATE TABLE staging.t {COLUMNS}"
PARTITIONED = ("CREATE SCHEMA live; CREATE SCHEMA staging; " + "; ".join(
    f"CREATE TABLE public.{table} {COLUMNS} PARTITION BY RANGE (day); "
    f"CREATE TABLE public.{table}_1 PARTITION OF public.{table} FOR VALUES FROM (0) TO (100)" for table in ("t", "s")))


def exchange(kind, one, other, for_good):
    """Statements by which table or schema `other` gets the name `one`, which goes, or gets that of `other`."""
    return [f"ALTER {kind} {one} RENAME TO old", f"ALTER {kind} {other} RENAME TO {one}"] + (
        [] if for_good else [f"ALTER {kind} old RENAME TO {other}"])


@pytest.fixture
def captured(shops, pipelines):
    """Makes a database and a pipeline that captures `tables`, under a publication of the owner's, or ours (None)."""
    (database,) = shops("names")

    def make(setup, tables, publication):
        own(database, setup)
        pipeline = pipelines({"names": database}, domains={domain: {"table": table, "event": domain}
                                                           for domain, table in tables.items()})
        if publication:
            database.execute(f"CREATE PUBLICATION tributary_{pipeline.name}_names {publication}")
        return database, pipeline.start_and_wait()

    return make


def change(database, table, number):
    database.execute(f"UPDATE {table} SET v = 'change {number} of {table}' WHERE id % 3 = {number}; "
                     f"DELETE FROM {table} WHERE id = {10 + number}; INSERT INTO {table} VALUES ({100 + number}, 50, '{table}')")


def fill(database, table, first):
    database.execute(f"INSERT INTO {table} SELECT g, 50, '{table}' FROM generate_series({first}, 30) g")


@pytest.mark.parametrize("publication", PUBLICATIONS)
@pytest.mark.parametrize("for_good", [True, False])
@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("kind", ["SCHEMA", "TABLE"])
def test_tables_by_the_names_of_others(captured, publication, for_good, running, kind):
    one, other = ("live.t", "staging.t") if kind == "SCHEMA" else ("public.t", "public.s")
    tables = {"one": one} if for_good else {"one": one, "other": other}
    database, pipeline = captured(PLAIN if kind == "SCHEMA" else PARTITIONED, tables, publication)
    fill(database, one, 1)
    fill(database, other, 5)
    pipeline.wait_queryable()
    if not running:
        pipeline.terminate()
    change(database, one, 0)
    change(database, other, 0)
    if running:
        pipeline.wait_queryable()
    for statement in exchange(kind, *((one, other) if kind == "TABLE" else ("live", "staging")), for_good):
        own(database, statement.replace("RENAME TO public.", "RENAME TO "))
    gone = ("old.t" if kind == "SCHEMA" else "public.old") if for_good else other
    change(database, one, 1)
    change(database, gone, 1)
    if running:
        pipeline.wait_queryable()
    else:
        pipeline.start_and_wait()
    change(database, one, 2)
    change(database, gone, 2)
    pipeline.wait_queryable()
    pipeline.verify_clean()


@pytest.mark.parametrize("publication", PUBLICATIONS[:2])
@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("host_captured", [True, False])
def test_a_table_that_is_anothers_partition_for_a_while(captured, publication, running, host_captured):
    tables = {"guest": "public.guest"} | ({"host": "public.t"} if host_captured else {})
    database, pipeline = captured(f"{PARTITIONED}; CREATE TABLE guest {COLUMNS}", tables, publication)
    database.execute("INSERT INTO guest SELECT g, 150, 'own' FROM generate_series(1, 30) g")
    pipeline.wait_queryable()
    if not running:
        pipeline.terminate()
    own(database, "ALTER TABLE t ATTACH PARTITION guest FOR VALUES FROM (100) TO (200)")
    database.execute("UPDATE t SET v = 'as a guest' WHERE id < 5; DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (99, 150, 'new')")
    own(database, "ALTER TABLE t DETACH PARTITION guest")
    if not running:
        pipeline.start_and_wait()
    pipeline.wait_queryable()
    pipeline.verify_clean()


@pytest.mark.parametrize("publication", PUBLICATIONS[:2])
def test_a_partitioned_table_gets_another_identity_than_its_partitions(captured, publication):
    database, pipeline = captured(f"{PARTITIONED}; CREATE SEQUENCE codes; ALTER TABLE t ADD code integer NOT NULL DEFAULT nextval('codes'); "
                                  "CREATE UNIQUE INDEX t_code ON t (code, day); ALTER TABLE t_1 REPLICA IDENTITY FULL", {"t": "public.t"},
                                  publication)
    fill(database, "t", 1)
    change(database, "t", 0)
    for number, identity in enumerate(["USING INDEX t_code", "DEFAULT"], 1):
        pipeline.wait_queryable()
        own(database, f"ALTER TABLE t REPLICA IDENTITY {identity}")
        change(database, "t", number)
        pipeline.wait_queryable()
        database.execute(f"UPDATE t SET id = id + {200 * number} WHERE id % 5 = 0; UPDATE t SET code = code + 1000 WHERE id % 5 = 1; "
                         f"DELETE FROM t WHERE id = {20 + number}")
        pipeline.wait_queryable()
        pipeline.verify_clean()


@pytest.mark.parametrize("publication, whole", [("FOR TABLE other", "ADD TABLE t"), ("FOR TABLE other", "ADD TABLES IN SCHEMA public"),
                                                ("FOR TABLE other, TABLE t WHERE (id > 3)", "SET TABLE other, t")])
def test_a_transaction_that_ran_when_the_owner_published_a_table(captured, publication, whole):
    database, pipeline = captured(f"CREATE TABLE other {COLUMNS}; CREATE TABLE t {COLUMNS}; ALTER TABLE t REPLICA IDENTITY FULL",
                                  {"other": "public.other"} | {"t": "public.t"}, f"{publication} {WHOLE}")
    fill(database, "t", 1)
    fill(database, "other", 1)
    pipeline.wait_queryable()
    with database.transaction() as transaction:
        transaction.execute("UPDATE t SET v = 'untold' WHERE id < 9; DELETE FROM t WHERE id = 10; INSERT INTO t VALUES (99, 50, 'untold')")
        database.execute(f"ALTER PUBLICATION tributary_{pipeline.name}_names {whole}")
        wait_for(lambda: "waits for" in str(pipeline.client_status("names")), 60, "the reading to wait", seen=pipeline.log_tail)
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_a_schema_with_a_dot_in_its_name_is_another(captured):
    database, pipeline = captured('CREATE SCHEMA a; CREATE SCHEMA "a.b"; CREATE TABLE a."b.t" (id integer PRIMARY KEY, v text); '
                                  'CREATE TABLE "a.b".t (id integer PRIMARY KEY, v text)', {"t": "a.b.t"}, PUBLICATIONS[1])
    database.execute("INSERT INTO a.\"b.t\" VALUES (1, 'ours'); INSERT INTO \"a.b\".t VALUES (2, 'another')")
    pipeline.wait_queryable()
    pipeline.verify_clean()
    assert pipeline.count("names", "t") == 1


def test_row_level_security_of_a_partition_alone_is_not_in_the_way(captured):
    database, pipeline = captured(f"{PARTITIONED}; ALTER TABLE t_1 ENABLE ROW LEVEL SECURITY; ALTER TABLE t_1 FORCE ROW LEVEL SECURITY",
                                  {"t": "public.t"}, None)
    fill(database, "t", 1)
    pipeline.terminate()
    pipeline.command("client", "reset", "names").expect(ExitCode.OK)
    pipeline.start_and_wait().verify_clean()
    assert pipeline.count("names", "t") == 30


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_transaction_in_which_columns_had_each_others_names_is_cut_in_two(shops, pipelines, end):
    """Pieces of it are durable, and the server tells of the names again only with what is not."""
    (database,) = shops("names")
    own(database, "CREATE TABLE t (id integer PRIMARY KEY, a text, c text)")
    database.execute("INSERT INTO t SELECT g, 'a', 'c' FROM generate_series(1, 20000) g")
    pipeline = pipelines({"names": {"database": database, "limits": {"rows_per_second": 4000}}},
                         domains={"t": {"table": "public.t", "event": "t"}}).start_and_wait()
    pipeline.wait_queryable()
    before = pipeline.client_status("names")["captured_events"]
    exchange = "ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME c TO a; ALTER TABLE t RENAME x TO c"
    own(database, f"BEGIN; {exchange}; UPDATE t SET a = 'was c' WHERE id <= 5000; {exchange}; "
                  "UPDATE t SET a = 'second' WHERE id > 5000; COMMIT")
    wait_for(lambda: pipeline.client_status("names")["captured_events"] > before + 7000, 60, "half of the transaction",
             seen=pipeline.log_tail)
    getattr(pipeline, end)()
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    pipeline.verify_clean()
