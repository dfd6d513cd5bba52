"""Databases that are not in UTF-8: every byte goes through snapshot, stream, query, events and verify, and others flow."""

import pytest

from harness.shop import own

DOMAINS = {"texts": {"table": "public.notes", "event": "text"}}
PLAIN = {"notes": {"sql": "SELECT * FROM texts"}}
VIEWS = {**PLAIN, "loud": {"sql": "SELECT id, upper(note) AS note FROM texts"}}


def in_encoding(shops, encoding):
    template = f"template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    (database,) = shops("odd", template=template)
    own(database, "CREATE TABLE notes (id text PRIMARY KEY, note text)")
    return database


def insert(database, number, *texts):
    values = ", ".join(f"convert_from(decode('{text}', 'hex'), 'SQL_ASCII')" for text in texts)
    database.execute(f"INSERT INTO notes VALUES ('{number} ' || {values})")


# encoding, bytes in hexadecimal, and what they are. WIN1252 has no 0x81, LATIN3 no 0xA5, WIN1258's letters may combine.
@pytest.mark.parametrize("encoding, sent, shown", [
    ("WIN1252", "63e980818d", "cé€\uf781\uf78d"),
    ("LATIN1", "63e9ff80", "céÿ\u0080"),
    ("LATIN3", "a6a5e6", "Ĥ\uf7a5ĉ"),
    ("KOI8R", "d4c5d3d4", "тест"),
    ("ISO_8859_7", "e1d2ff", "α\uf7d2\uf7ff"),
    ("WIN874", "a1db", "ก\uf7db"),
])
def test_a_byte_without_a_character_has_a_place_of_its_own(shops, pipelines, encoding, sent, shown):
    database = in_encoding(shops, encoding)
    (other,) = shops("other")
    own(other, "CREATE TABLE notes (id text PRIMARY KEY, note text)")
    insert(database, 1, sent, sent)
    pipeline = pipelines({"odd": database, "other": other}, domains=DOMAINS, views=VIEWS).start_and_wait()
    insert(database, 2, sent, sent)
    insert(database, 3, sent, sent)
    database.execute("UPDATE notes SET note = note || '!' WHERE id LIKE '2%'; DELETE FROM notes WHERE id LIKE '3%'")
    other.execute("INSERT INTO notes VALUES ('1', 'flows')")
    pipeline.wait_queryable()
    rows = {row["id"]: row["note"] for row in pipeline.query("odd", "SELECT id, note FROM notes")}
    assert rows == {f"1 {shown}": shown, f"2 {shown}": f"{shown}!"}
    assert pipeline.count("other", "loud") == 1
    events = [event["value"]["after"] for event in pipeline.events("text.*", client="odd")]
    assert {row["note"] for row in events if row} == {shown, f"{shown}!"}
    pipeline.verify_clean()


def test_sql_ascii_is_read_and_verified_as_its_bytes_are(shops, pipelines):
    database = in_encoding(shops, "SQL_ASCII")
    insert(database, 1, "6162", "c3a9")
    insert(database, 2, "e9", "e9ff")
    pipeline = pipelines({"odd": database}, domains=DOMAINS, views=PLAIN).start_and_wait()
    insert(database, 3, "ff", "81")
    database.execute("UPDATE notes SET note = note || '!' WHERE id LIKE '2%'")
    pipeline.wait_queryable()
    hexes = [row["n"] for row in pipeline.query("odd", "SELECT lower(hex(note)) AS n FROM notes ORDER BY id")]
    assert hexes == ["c3a9", "e9ff21", "81"]
    pipeline.verify_clean()
