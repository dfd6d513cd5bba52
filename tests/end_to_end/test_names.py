"""Names that SQL, JSON or a shell would stumble over: of domains, tables and columns, from the source to verify."""

import pytest

from harness import ExitCode
from harness.by_hand import change_rows
from harness.shop import own

# Names that the validator's own tables and aliases could have, and words of SQL.
DOMAINS = ["a", "s", "k", "known", "odd", "only_a", "s_odd", "row", "texts", "source", "main", "select", "table",
           "order", "group", "user", "from", "all", "default_", "final", "values", "end"]

COLUMNS = ["back\\slash", "tab\there", "new\nline", 'quo"te', "it's", "percent%s", "{brace}", "$1", "`tick`", "select",
           "from", "order", "a b", "größe", "🎈", "x" * 63, "1st", "null", "true", "row", "texts", "k", "c0", "s", "dot.ted",
           "slash/~", "\x01"]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("names", [DOMAINS[:12], DOMAINS[12:]], ids=["first", "second"])
def test_domains_may_have_any_name(shops, pipelines, names):
    (database,) = shops("names")
    for name in names:
        own(database, f"CREATE TABLE {quoted(name)} (id integer PRIMARY KEY, s text, a text)")
        database.execute(f"INSERT INTO {quoted(name)} VALUES (1, 'snapshot', 'x')")
    domains = {name: {"table": f"public.{name}", "event": f"e_{name}"} for name in names}
    pipeline = pipelines({"names": database}, domains=domains).start_and_wait()
    for name in names:
        database.execute(f"INSERT INTO {quoted(name)} VALUES (2, 'streamed', 'y')")
        database.execute(f"UPDATE {quoted(name)} SET a = 'z' WHERE id = 1")
    pipeline.verify_clean()
    for name in names:
        assert pipeline.count("names", quoted(name)) == 2, name


def test_columns_may_have_any_name(shops, pipelines):
    (database,) = shops("names")
    columns = ", ".join(f"{quoted(name)} text" for name in COLUMNS)
    own(database, f"CREATE TABLE strange (id integer, {quoted('key')} text, {columns}, PRIMARY KEY (id, \"key\"))")
    values = ", ".join(f"'{number}'" for number in range(len(COLUMNS)))
    insert = f"INSERT INTO strange VALUES ({{}}, 'k', {values})"
    database.execute(insert.format(1))
    domains = {"strange": {"table": "public.strange", "event": "strange"}}
    pipeline = pipelines({"names": database}, domains=domains).start_and_wait()
    database.execute(insert.format(2))
    for name in COLUMNS:
        database.execute(f"UPDATE strange SET {quoted(name)} = {quoted(name)} || '!' WHERE id = 2")
    pipeline.wait_queryable()
    for row in pipeline.query("names", "SELECT * FROM strange ORDER BY id"):
        mark = "!" if row["id"] == 2 else ""
        for number, name in enumerate(COLUMNS):
            assert row[name] == f"{number}{mark}", name
    assert all(set(COLUMNS) < set(event["value"]["after"]) for event in pipeline.events("strange.*") if event["value"]["after"])
    pipeline.verify_clean()


def test_columns_whose_names_differ_in_case_only_are_captured_and_told_apart_by_the_store(shops, pipelines):
    (database,) = shops("names")
    own(database, 'CREATE TABLE cases (id integer PRIMARY KEY, "A" text, a text); CREATE TABLE good (id integer PRIMARY KEY)')
    database.execute("INSERT INTO cases VALUES (1, 'upper', 'lower'); INSERT INTO good VALUES (1)")
    domains = {name: {"table": f"public.{name}", "event": name} for name in ("cases", "good")}
    pipeline = pipelines({"names": database}, domains=domains).start_and_wait()
    database.execute("INSERT INTO cases VALUES (2, 'UPPER', 'LOWER'); INSERT INTO good VALUES (2)")
    pipeline.wait_queryable()
    assert pipeline.count("names", "good") == 2
    assert pipeline.query("names", "SELECT `A`, a FROM cases ORDER BY id") == [{"A": "upper", "a": "lower"},
                                                                              {"A": "UPPER", "a": "LOWER"}]
    pipeline.verify_clean()
    change_rows(pipeline, "cases", "names", "id = 2", a="'other'")
    found = pipeline.verify().expect(ExitCode.DIFFERENCE).output
    assert "id=2" in found and "a (2)" in found and "LOWER" in found, found
