"""Every type that PostgreSQL holds: the same values by snapshot, insert and update are the same in the analytics,
agree with the source, and none of them turns into NULL without a word."""

import pytest

from harness import ExitCode
from harness.shop import own

# column → type, and values as PostgreSQL's literals. Each column is NULL in the rows beyond its last value.
TYPES = {
    "boolean": ("boolean", ["true", "false"]),
    "small": ("smallint", ["-32768", "0", "32767"]),
    "whole": ("integer", ["-2147483648", "2147483647"]),
    "big": ("bigint", ["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
    "object": ("oid", ["0", "4294967295"]),
    "single": ("real", ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1e-45", "3.4028235e38", "0.1"]),
    "double": ("double precision", ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "5e-324", "1.7976931348623157e308",
                                    "0.1", "0.30000000000000004"]),
    "free": ("numeric", ["'NaN'", "'Infinity'", "'-Infinity'", "0", "-0.000000000000000001", "1e-40", "1e40",
                         "99999999999999999999.999999999999999999", f"{'9' * 90}.{'1' * 30}", "1.10", "2", "2.50", "100", "0.000",
                         "1.500000000000000000000"]),
    "price": ("numeric(12,2)", ["'NaN'", "-9999999999.99", "9999999999.99", "0.00", "1.5"]),
    "exact38": ("numeric(38,10)", ["'NaN'", f"{'9' * 28}.{'9' * 10}", f"-{'9' * 28}.{'9' * 10}"]),
    "exact76": ("numeric(76,38)", ["'NaN'", f"{'9' * 38}.{'9' * 38}", f"-{'9' * 38}.{'9' * 38}", "0.5"]),
    "exact100": ("numeric(100,10)", ["'NaN'", f"{'9' * 90}.{'9' * 10}", "-1.5"]),
    "hundreds": ("numeric(5,-2)", ["12300", "-9999900", "0"]),
    "fraction": ("numeric(3,5)", ["0.00999", "-0.00001"]),
    "cash": ("money", ["'-92233720368547758.08'", "'92233720368547758.07'", "'0.01'"]),
    "bits": ("bit(5)", ["B'10101'", "B'00000'"]),
    "varbits": ("bit varying", ["B''", "B'1'", f"B'{'10' * 50}'"]),
    "day": ("date", ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'0001-01-01'", "'1899-12-31'", "'1900-01-01'",
                     "'1970-01-01'", "'2024-02-29'", "'2299-12-31'", "'2300-01-01'", "'9999-12-31'", "'5874897-12-31'"]),
    "moment": ("timestamp", ["'infinity'", "'-infinity'", "'4713-01-01 00:00:00 BC'", "'1899-12-31 23:59:59.999999'",
                             "'1900-01-01'", "'1970-01-01 00:00:00.000001'", "'1969-12-31 23:59:59.999999'",
                             "'2024-03-31 02:30:00'", "'2262-04-11 23:47:16.854775'", "'2262-04-12'",
                             "'2299-12-31 23:59:59.999999'", "'2300-01-01'", "'9999-12-31 23:59:59.999999'",
                             "'294276-12-31 23:59:59.999999'"]),
    "instant": ("timestamptz", ["'infinity'", "'-infinity'", "'0044-03-15 12:00:00+00 BC'", "'2024-03-31 02:30:00+02'",
                                "'1900-01-01 00:00:00+00'", "'1899-12-31 23:59:59+00'", "'2262-04-12 00:00:00+00'",
                                "'9999-12-31 23:59:59.999999+00'", "'1970-01-01 00:00:00-12'"]),
    "clock": ("time", ["'00:00:00'", "'24:00:00'", "'23:59:59.999999'"]),
    "zoned_clock": ("timetz", ["'00:00:00+14'", "'24:00:00-15:59:59'", "'12:34:56.789-03:30'"]),
    "span": ("interval", ["'0'", "'1 year -2 months 3 days -04:05:06.789'", "'-178000000 years'", "'25:00:00'"]),
    "string": ("text", ["''", "' '", r"E'tab\tline\nreturn\rback\\slash'", "'quote '' double \" '", "'Zoë 🎈 \u2028'",
                        "'NULL'", r"E'\\N'", r"E'\\x00'", "repeat('long ', 20000)", r"E'\u0001'"]),
    "limited": ("varchar(10)", ["''", "'ten chars.'", "'end  '"]),
    "padded": ("char(5)", ["''", "'ab'", "'abcde'"]),
    "name": ("name", ["'pg_class'", "''"]),
    "letter": ('"char"', ["'a'", "''"]),
    "folded": ("citext", ["'MiXeD'", "''"]),
    "blob": ("bytea", [r"'\x'", r"'\x00'", r"'\x00ff5c2700'", "decode(repeat('00ff', 30000), 'hex')"]),
    "document": ("json", ["'null'", "'{\"a\": 1, \"a\": 2, \"b\":[1, 2.50, 1e400, 12345678901234567890123]}'",
                          "'\" \\\\u0000 \"'", "'[]'"]),
    "binary_document": ("jsonb", ["'null'", "'{\"b\": 12345678901234567890.10, \"a\": [null, true, \"\\\\u00e9\"]}'",
                                  "'\"text\"'", "'1E+2'"]),
    "markup": ("xml", ["'<a b=\"c\">d</a>'", "''"]),
    "numbers": ("integer[]", ["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[-1:1]={1,2,3}'"]),
    "texts": ("text[]", ["'{}'", """'{"a,b","c\\"d",NULL,"NULL","",é}'"""]),
    "pairs": ("hstore", ["''", "'a=>1, b=>NULL, \"c d\"=>\"e\\\"f\"'"]),
    "whole_range": ("int4range", ["'empty'", "'[1,5)'", "'(,)'", "'[1,)'"]),
    "ranges": ("nummultirange", ["'{}'", "'{[1,2),(3,4.5]}'"]),
    "spot": ("point", ["'(1.5,-2)'", "'(NaN,Infinity)'"]),
    "area": ("polygon", ["'((0,0),(1,1),(2,0))'"]),
    "circle": ("circle", ["'<(0,0),1>'"]),
    "words": ("tsvector", ["''", "'a:1A fat:2B,4C cat:5D'"]),
    "search": ("tsquery", ["'fat & (rat | cat)'"]),
    "address": ("inet", ["'192.168.0.1/24'", "'::1'", "'::ffff:1.2.3.4/128'"]),
    "network": ("cidr", ["'10.0.0.0/8'", "'2001:db8::/32'"]),
    "hardware": ("macaddr", ["'08:00:2b:01:02:03'"]),
    "hardware8": ("macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    "identity": ("uuid", ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                          "'80000000-0000-4000-8000-000000000001'"]),
    "path": ("ltree", ["''", "'Top.Science.Astronomy'"]),
    "mood": ("mood", ["'sad'", "'it''s \"ok\", fine'", "''"]),
    "positive": ("positive_number", ["1", "2147483647"]),
    "place": ("place", ["'(,)'", "'(\"a, \\\"b\\\"\",7)'"]),
    "log_position": ("pg_lsn", ["'0/0'", "'FFFFFFFF/FFFFFFFF'"]),
    "table_name": ("regclass", ["'pg_class'"]),
    "second": ("timestamp(0)", ["'2024-02-29 23:59:59'", "'infinity'"]),
    "short_clock": ("time(3)", ["'23:59:59.999'"]),
    "months": ("interval year to month", ["'1 year 2 months'", "'-3 months'"]),
    "moods": ("mood[]", ["'{}'", "ARRAY['sad', NULL, 'it''s \"ok\", fine']::mood[]"]),
    "places": ("place[]", ["'{}'", "ARRAY[ROW('a', 1)::place, NULL, ROW(NULL, NULL)::place]"]),
    "small_positive": ("small_positive", ["1", "99"]),
    "short_price": ("short_price", ["1.50", "-0.05"]),
    "positives": ("positive_number[]", ["'{1,2}'"]),
    "box": ("box", ["'((1,1),(0,0))'"]),
    "line": ("line", ["'{1,-1,0}'"]),
    "segment": ("lseg", ["'[(0,0),(1,1)]'"]),
    "way": ("path", ["'((0,0),(1,1))'", "'[(0,0),(1,1)]'"]),
    "json_way": ("jsonpath", ["'$.a[*] ? (@ > 1)'"]),
    "transaction": ("xid8", ["'18446744073709551615'"]),
    "row_place": ("tid", ["'(4294967295,65535)'"]),
    "vector": ("int2vector", ["'1 -2 3'"]),
    "moment_range": ("tstzrange", ["'[2024-01-01 00:00+00,infinity)'", "'empty'"]),
    "day_ranges": ("datemultirange", ["'{[2024-01-01,2024-02-01)}'"]),
    "snapshot": ("pg_snapshot", ["'10:20:10,14,15'"]),
}

OWN_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok", fine', '');
CREATE DOMAIN positive_number AS integer CHECK (VALUE > 0);
CREATE DOMAIN small_positive AS positive_number CHECK (VALUE < 100);
CREATE DOMAIN short_price AS numeric(6,2);
CREATE TYPE place AS (street text, number integer);
"""
ROWS = max(len(values) for _, values in TYPES.values())
DOMAINS = {"things": {"table": "public.things", "event": "thing"}}
STREAMED, UPDATED = 1000, 2000  # ids of inserted rows, and of rows updated from nothing to their values


@pytest.fixture
def things(shops):
    """A database with one table of all types, with its snapshot rows."""
    (database,) = shops("types")
    for extension in ("citext", "hstore", "ltree"):
        database.execute(f"CREATE EXTENSION {extension}")
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in TYPES.items())
    own(database, f"{OWN_TYPES}; CREATE TABLE things (id integer PRIMARY KEY, {columns})")
    for row in range(ROWS):
        insert(database, row, row)
    return database


def literals(row):
    return [values[row] if row < len(values) else "NULL" for _, values in TYPES.values()]


def insert(database, number, row):
    database.execute(f"INSERT INTO things VALUES ({number}, {', '.join(literals(row))})")


def update(database, number, row):
    database.execute(f"INSERT INTO things (id) VALUES ({number})")
    assignments = ", ".join(f'"{name}" = {value}' for name, value in zip(TYPES, literals(row), strict=True))
    database.execute(f"UPDATE things SET {assignments} WHERE id = {number}")


def by_id(pipeline):
    return {row["id"]: row for row in pipeline.query("types", "SELECT * FROM things")}


def test_snapshot_insert_and_update_give_the_same_values(things, pipelines):
    pipeline = pipelines({"types": things}, domains=DOMAINS).start_and_wait()
    for row in range(ROWS):
        insert(things, STREAMED + row, row)
        update(things, UPDATED + row, row)
    pipeline.wait_queryable()
    rows = by_id(pipeline)
    for row in range(ROWS):
        for other in (STREAMED + row, UPDATED + row):
            differing = {name: (rows[row][name], rows[other][name]) for name in TYPES
                         if rows[row][name] != rows[other][name]}
            assert not differing, (row, other)
            assert rows[row].get("_unrepresentable") == rows[other].get("_unrepresentable")
    pipeline.verify_clean()


def test_events_show_numbers_with_the_digits_that_the_source_wrote(things, pipelines):
    pipeline = pipelines({"types": things}, domains=DOMAINS).start_and_wait()
    for row in range(ROWS):
        insert(things, STREAMED + row, row)
        update(things, UPDATED + row, row)
    things.execute(f"UPDATE things SET free = 7.000 WHERE id = {STREAMED}")
    pipeline.wait_queryable()
    names = ("free", "price", "exact38", "exact76", "exact100", "hundreds", "fraction")
    texts = ", ".join(f"{name}::text" for name in names)
    wanted = {number: values for number, *values in things.rows(f"SELECT id, {texts} FROM things")}
    for store in ("log", "raw"):
        rows = [event["value"]["after"] for event in pipeline.events("thing.*", store=store)]
        newest = {row["id"]: row for row in rows if row}
        assert len(newest) == 3 * ROWS
        for number, values in wanted.items():
            assert [newest[number][name] for name in names] == values, (store, number)


def test_no_value_turns_into_null_without_a_word(things, pipelines):
    pipeline = pipelines({"types": things}, domains=DOMAINS)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    silent = []
    for number, row in by_id(pipeline).items():
        for name, (_, values) in TYPES.items():
            if number < len(values) and row[name] is None and name not in row.get("_unrepresentable", {}):
                # JSON has no NaN and no infinity: ClickHouse writes them as null there, asked for as text they are told
                text = pipeline.value("types", f"SELECT toString({name}) AS t FROM things WHERE id = {number}")
                if text is None:
                    silent.append((name, values[number]))
            if number >= len(values):
                assert row[name] is None, (number, name, row[name])
    assert not silent


def test_values_that_people_look_at_are_what_they_expect(things, pipelines):
    pipeline = pipelines({"types": things}, domains=DOMAINS)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    texts = {}
    for name in ("big", "price", "day", "moment", "identity", "string", "boolean", "exact76", "hundreds"):
        answer = pipeline.query("types", f"SELECT id, toString({name}) AS t FROM things ORDER BY id")
        texts[name] = [row["t"] for row in answer]
    assert texts["big"][:3] == ["-9223372036854775808", "9223372036854775807", "9007199254740993"]
    assert texts["price"][1:3] == ["-9999999999.99", "9999999999.99"]
    assert texts["day"][6:8] == ["1970-01-01", "2024-02-29"]
    assert texts["moment"][5:8] == ["1970-01-01 00:00:00.000001", "1969-12-31 23:59:59.999999",
                                    "2024-03-31 02:30:00.000000"]
    assert texts["identity"][2] == "80000000-0000-4000-8000-000000000001"
    assert texts["string"][2] == "tab\tline\nreturn\rback\\slash"
    assert texts["boolean"][:2] == ["true", "false"]
    assert texts["exact76"][1] == f"{'9' * 38}.{'9' * 38}"
    assert texts["hundreds"][:2] == ["12300", "-9999900"]


def test_keys_of_unusual_types(shops, pipelines):
    (database,) = shops("keys")
    database.execute("CREATE EXTENSION citext")
    database.execute("CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    kinds = {"collated_key": ("text COLLATE caseless", ["'Key'", "'other'"]),
             "float_key": ("double precision", ["'-0'", "'NaN'", "'Infinity'", "1.5"]),
             "numeric_key": ("numeric", ["'NaN'", "1.10", "-0.5", "1e30"]),
             "text_key": ("text", ["''", "' a'", "'a '", "'A'", r"E'\t'"]),
             "padded_key": ("char(4)", ["''", "'a'", "' a'"]),
             "folded_key": ("citext", ["'Key'", "'other'"]),
             "moment_key": ("timestamptz", ["'infinity'", "'-infinity'", "'2024-01-01 00:00:00+00'"]),
             "day_key": ("date", ["'infinity'", "'4713-01-01 BC'", "'2024-01-01'"]),
             "uuid_key": ("uuid", ["gen_random_uuid()", "gen_random_uuid()"]),
             "bytes_key": ("bytea", [r"'\x00'", r"'\x'", r"'\x0000'"]),
             "flag_key": ("boolean", ["true", "false"])}
    own(database, ";".join(f"CREATE TABLE {table} (k {kind} PRIMARY KEY, v integer)"
                           for table, (kind, _) in kinds.items()))
    for table, (_, values) in kinds.items():
        for value in values:
            database.execute(f"INSERT INTO {table} VALUES ({value}, 1)")
    pipeline = pipelines({"keys": database}, domains={table: {"table": f"public.{table}", "event": table}
                                                      for table in kinds}).start_and_wait()
    for table in kinds:
        database.execute(f"UPDATE {table} SET v = v + 1")
    database.execute("UPDATE folded_key SET k = 'KEY' WHERE k = 'key'")   # equal to the collation, other bytes
    database.execute("UPDATE collated_key SET k = 'KEY' WHERE k = 'key'; DELETE FROM collated_key WHERE k = 'OTHER'")
    database.execute("UPDATE numeric_key SET k = 1.1 WHERE k = 1.10")     # equal as a number, other digits
    database.execute("UPDATE float_key SET k = 0 WHERE k = 0")            # -0 becomes 0
    database.execute("DELETE FROM text_key WHERE k = ''")
    pipeline.wait_queryable()
    for table in kinds:
        assert pipeline.count("keys", table) == database.value(f"SELECT count(*) FROM {table}"), table
    assert pipeline.value("keys", "SELECT k FROM folded_key ORDER BY k LIMIT 1") == "KEY"
    pipeline.verify_clean()
