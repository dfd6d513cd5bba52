"""Types that the owner made, and changes: what rows have of them reads otherwise, and no event tells of it."""

import pytest

from harness import ExitCode, wait_for
from harness.shop import own

KINDS = {"enum": "'sad'", "of enums": "'{sad,ok}'", "composite": "'(sad,1)'", "of composites": """'{"(sad,1)"}'""",
         "range": "'[sad,ok)'", "domain": "'(sad,2)'"}
RENAMED = "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'"


@pytest.fixture
def typed(shops):
    (database,) = shops("types")
    own(database, "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (m mood, n integer); "
                  "CREATE TYPE moods AS RANGE (subtype = mood); CREATE DOMAIN some_pair AS pair; "
                  "CREATE TABLE t (id integer PRIMARY KEY, enum mood, \"of enums\" mood[], composite pair, "
                  "\"of composites\" pair[], range moods, domain some_pair)")
    for number, (column, value) in enumerate(KINDS.items(), 1):
        database.execute(f'INSERT INTO t (id, "{column}") VALUES ({number}, {value})')
    return database


@pytest.fixture
def pipeline(typed, pipelines):
    pipeline = pipelines({"types": typed}, domains={"t": {"table": "public.t", "event": "t"}})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    return pipeline


def agrees(pipeline):
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()


@pytest.mark.parametrize("column", KINDS)
def test_a_value_is_renamed_in_a_column_of_this_kind(typed, pipelines, column):
    own(typed, f'CREATE TABLE alone AS SELECT id, "{column}" FROM t; ALTER TABLE alone ADD PRIMARY KEY (id)')
    pipeline = pipelines({"types": typed}, domains={"alone": {"table": "public.alone", "event": "alone"}})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    own(typed, RENAMED)
    agrees(pipeline)


def test_a_value_is_renamed_used_and_named_back(typed, pipeline):
    own(typed, RENAMED)
    typed.execute("INSERT INTO t (id, enum) VALUES (10, 'blue')")
    own(typed, "ALTER TYPE mood RENAME VALUE 'blue' TO 'sad'")
    agrees(pipeline)


def test_a_value_that_was_added_is_renamed(typed, pipeline):
    own(typed, "ALTER TYPE mood ADD VALUE 'glad' BEFORE 'sad'")
    typed.execute("UPDATE t SET enum = 'glad' WHERE id = 1")
    agrees(pipeline)
    reads = sum(event["value"]["op"] == "r" for event in pipeline.events(store="raw"))
    assert reads == len(KINDS), "the table was read again for a value that is new"
    own(typed, "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'")
    agrees(pipeline)


def test_a_transaction_that_ran_meanwhile_still_writes_the_old_name(typed, pipelines):
    pipeline = pipelines({"types": typed}, domains={"t": {"table": "public.t", "event": "t"}}).start_and_wait()
    with typed.transaction() as transaction:
        transaction.execute("INSERT INTO t (id, enum) VALUES (11, 'sad')")
        own(typed, RENAMED)
        wait_for(lambda: pipeline.value("types", "SELECT enum FROM t WHERE id = 1") == "blue", 60, "the table to be read again",
                 seen=pipeline.log_tail)
    wait_for(lambda: pipeline.value("types", "SELECT enum FROM t WHERE id = 11") == "blue", 60, "it to be read once more",
             seen=pipeline.log_tail)
    pipeline.verify_clean()


@pytest.mark.parametrize("change", ["ADD ATTRIBUTE late text", "DROP ATTRIBUTE n"])
def test_a_composite_type_has_other_attributes(typed, pipeline, change):
    own(typed, f"ALTER TYPE pair {change}")
    agrees(pipeline)
