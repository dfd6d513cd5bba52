"""Types that a database brings itself: arrays of every type, types of extensions written in C, composites and domains in
one another. The same values by snapshot, insert and update are the same text in the analytics that PostgreSQL writes."""

import pytest
from test_types import OWN_TYPES, TYPES

from harness.shop import own

# PostGIS and pgvector are such types: a base type with functions of its own, of which the stream shows the text alone.
BASE_TYPE = """
CREATE TYPE {name};
CREATE FUNCTION {name}_in(cstring) RETURNS {name} LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
CREATE FUNCTION {name}_out({name}) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
CREATE FUNCTION {name}_recv(internal) RETURNS {name} LANGUAGE internal IMMUTABLE STRICT AS 'bytearecv';
CREATE FUNCTION {name}_send({name}) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'byteasend';
CREATE TYPE {name} (INPUT = {name}_in, OUTPUT = {name}_out, RECEIVE = {name}_recv, SEND = {name}_send,
                    INTERNALLENGTH = VARIABLE, STORAGE = extended)
"""

COMPOUND_TYPES = """
CREATE TYPE journey AS (origin place, stops place[], felt mood, at tstzrange, price short_price);
CREATE DOMAIN journeys AS journey[] CHECK (cardinality(VALUE) < 100);
CREATE DOMAIN some_numbers AS numeric(8,2)[];
CREATE DOMAIN nested_domain AS small_positive NOT NULL DEFAULT 7;
CREATE TYPE text_range AS RANGE (subtype = text, collation = "C");
CREATE TYPE place_range AS RANGE (subtype = place);
CREATE TABLE template (a integer, b text)
"""

JOURNEY = "ROW(ROW('a, \"b\"', 1), ARRAY[ROW('(', NULL)::place, NULL], 'sad', '[2024-01-01 00:00+00,)', 1.50)::journey"

# column → type, and values as PostgreSQL's literals.
COMPOUND = {
    "geometry_like": ("shape", [r"'\x0101000020e6100000'", r"'\x'", f"'\\x{'0102' * 4000}'"]),
    "geometry_array": ("shape[]", [r"ARRAY['\x01'::shape, NULL]"]),
    "journey": ("journey", [JOURNEY, "ROW(NULL, NULL, NULL, NULL, NULL)::journey", "ROW(NULL, '{}', '', 'empty', 0)::journey"]),
    "all_journeys": ("journeys", [f"ARRAY[{JOURNEY}, NULL]", "'{}'"]),
    "amounts": ("some_numbers", ["'{1.50,NULL,NaN}'", "'{{1,2},{3,4}}'"]),
    "seven": ("nested_domain", ["1", "99", "7"]),
    "texts_between": ("text_range", ["'[a,\"b,c\"]'", "'empty'", "'(,\"\\\"\")'"]),
    "texts_between_many": ("text_multirange", ["'{[a,b),[c,d)}'"]),
    "places_between": ("place_range", ["place_range(ROW('a', 1)::place, ROW('b', 2)::place)"]),
    "row_of_table": ("template", ["ROW(1, 'x')::template", "ROW(NULL, '\"')::template"]),
    "rows_of_table": ("template[]", ["ARRAY[ROW(1, 'x')::template]"]),
    "big_bits": ("bit(200)", ["repeat('10', 100)::bit(200)"]),
    "whole_oids": ("oidvector", ["'1 2 4294967295'"]),
    "role": ("regrole", ["'shop_owner'"]),
    "function": ("regprocedure", ["'lower(text)'"]),
    "old_transaction": ("xid", ["'4294967295'"]),
    "command": ("cid", ["'7'"]),
}
DOMAINS = {"things": {"table": "public.things", "event": "thing"}}
STREAMED, UPDATED = 1000, 2000
WITHOUT_ARRAYS = {"letter"}  # "char"[] of an empty value cannot be written as a literal of ARRAY[…]


def arrays():
    """Of every type of test_types an array of all its values with a NULL behind, and one of two dimensions."""
    return {name: (f"{kind}[]", [f"ARRAY[{', '.join([*values, 'NULL'])}]::{kind}[]",
                                 f"ARRAY[[{values[0]}], [NULL]]::{kind}[]"])
            for name, (kind, values) in TYPES.items() if not kind.endswith("]") and name not in WITHOUT_ARRAYS}


def row(columns, number):
    return [values[number] if number < len(values) else "NULL" if kind != "nested_domain" else "7"
            for kind, values in columns.values()]


@pytest.mark.parametrize("columns", [arrays(), COMPOUND], ids=["arrays", "compound"])
def test_snapshot_insert_and_update_give_the_text_that_postgresql_writes(shops, pipelines, columns):
    (database,) = shops("own")
    for extension in ("citext", "hstore", "ltree"):
        database.execute(f"CREATE EXTENSION {extension}")
    database.execute(BASE_TYPE.format(name="shape"))
    named = ", ".join(f'"{name}" {kind}' for name, (kind, _) in columns.items())
    own(database, f"{OWN_TYPES}; {COMPOUND_TYPES}; CREATE TABLE things (id integer PRIMARY KEY, {named})")
    rows = max(len(values) for _, values in columns.values())

    def insert(first):
        for number in range(rows):
            database.execute(f"INSERT INTO things VALUES ({first + number}, {', '.join(row(columns, number))})")

    insert(0)
    pipeline = pipelines({"own": database}, domains=DOMAINS).start_and_wait()
    insert(STREAMED)
    for number in range(rows):
        database.execute(f"INSERT INTO things (id) VALUES ({UPDATED + number})" if "seven" not in columns else
                         f"INSERT INTO things (id, seven) VALUES ({UPDATED + number}, 1)")
        values = zip(columns, row(columns, number), strict=True)
        assignments = ", ".join(f'"{name}" = {value}' for name, value in values)
        database.execute(f"UPDATE things SET {assignments} WHERE id = {UPDATED + number}")
    pipeline.wait_queryable()
    texts = [name for name, (kind, _) in columns.items() if kind != "nested_domain"]
    wanted = ", ".join(f'"{name}"::text' for name in texts)
    # Under the settings that a value is read by: see docs/types.md.
    database.execute("SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET lc_monetary = 'C'")
    expected = {number: dict(zip(texts, values, strict=True))
                for number, *values in database.rows(f"SELECT id, {wanted} FROM things")}
    found = {line["id"]: line for line in pipeline.query("own", "SELECT * FROM things")}
    assert set(found) == set(expected) and len(found) == 3 * rows
    for number, values in expected.items():
        differing = {name: (found[number][name], value) for name, value in values.items() if found[number][name] != value}
        assert not differing, number
        assert not found[number].get("_unrepresentable"), number
    pipeline.verify_clean()
