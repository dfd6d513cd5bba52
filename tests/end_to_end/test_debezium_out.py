"""What capture writes to Kafka, read by those who read Debezium's topics, unchanged: Flink's debezium-json format and an
upserting sink of Kafka Connect into a second PostgreSQL."""

import json

import pytest

from harness import DebeziumConnector, ExitCode, FlinkSql, UpsertSink, Workload, wait_for
from harness.shop import SHOP_DOMAINS, own

TABLES = {"users": "id, email, name, country, balance, biography",
          "orders": "id, user_id, status, total_cents, note",
          "products": "sku, title, price_cents, discontinued"}
DOMAINS = {"users": {"table": "public.users", "event": "user"}, "orders": {"table": "public.orders", "event": "order"},
           "products": {"table": "public.products", "event": "product"}}


@pytest.fixture
def flink():
    made = FlinkSql()
    yield made
    made.remove()


def captured(kafka, shop, pipelines, **log):
    """A pipeline that brought a shop's changes, from tables of full identity, into topics by domain."""
    for table in TABLES:
        shop.execute(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
    writer = Workload(shop, seed=91).seed_rows()
    pipeline = pipelines({"acme": shop}, domains=DOMAINS,
                         settings={"log": {"at": f"kafka://{kafka.address}", "topics": "{pipeline}.{domain}", "partitions": 2,
                                           "partitions_per_client": 2, **log}}).start_and_wait()
    writer.run(steps=200)
    writer.close()
    pipeline.wait_queryable()
    pipeline.terminate()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    return pipeline


def test_flink_reads_it_as_debezium_json(kafka, shop, pipelines, flink):
    pipeline = captured(kafka, shop, pipelines)
    table = flink.debezium_table("orders", kafka, f"{pipeline.name}.orders",
                                 "id BIGINT, user_id BIGINT, status STRING, total_cents BIGINT, note STRING")
    rows = flink.select(table, "SELECT id, user_id, status, total_cents, MD5(COALESCE(note, '')) FROM orders")
    expected = shop.rows("SELECT id::text, user_id::text, status, total_cents::text, md5(coalesce(note, '')) FROM orders")
    assert rows == sorted(expected) and len(rows) > 20


def test_a_sink_of_kafka_connect_makes_a_copy(kafka, shops, pipelines):
    """The sink wants schemas; its table has our client_id beside the source's key."""
    shop, copy = shops("acme", "copy")
    for table in TABLES:
        copy.execute(f"DROP TABLE {table} CASCADE")
    pipeline = captured(kafka, shop, pipelines, schemas=True)
    sink = UpsertSink(kafka, copy, [f"{pipeline.name}.{table}" for table in TABLES])

    def rows(database, table):
        exists = database.value("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",))
        columns = TABLES[table].replace("balance", "balance::numeric(12,2)").replace("country", "country::char(2)")
        return database.rows(f"SELECT {columns} FROM {table} ORDER BY 1") if exists else None

    try:
        sink.start()
        for table in TABLES:
            wait_for(lambda table=table: rows(copy, table) == rows(shop, table), 60, f"a copy of {table}",
                     seen=sink.log_tail)
    finally:
        sink.remove()
    assert copy.rows("SELECT DISTINCT client_id FROM orders") == [("acme",)]


# Fields of an envelope that may differ: who wrote it, when, and in which way it orders. docs/formats/event.md argues for each.
OURS = {"version", "connector", "name", "sequence", "origin", "origin_lsn"}
TIMES = {"ts_ms", "ts_us", "ts_ns", "transaction"}
AS_TEXT = {"tags"}  # arrays: PostgreSQL's text
KINDS = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN price AS numeric(10, 2);
CREATE TABLE kinds (id int, part uuid, PRIMARY KEY (id, part), flag boolean, small smallint, single real, double double precision,
  free numeric, price price, cash money, fixed char(5), document json, binary_document jsonb, markup xml, data bytea, day date,
  moment timestamp, moment3 timestamp(3), moment0 timestamp(0), instant timestamptz, instant3 timestamptz(3), instant0 timestamptz(0),
  mood mood, address inet, network cidr, card macaddr, numbers int4range, object oid)"""
KINDS_CHANGES = """
INSERT INTO kinds VALUES (1, '01234567-89ab-cdef-0123-456789abcdef', true, -3, 1.5, 1e300, 2.50, 9.9, 12.34, 'ab', '{"a": 1,  "a": 2}',
  '{"b": [1.10]}', '<a/>', '\\x00ff', '2026-01-02', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.67', '2026-01-02 03:04:05',
  '2026-01-02 03:04:05.6789+02', '2026-01-02 03:04:05.6+02', '2026-01-02 03:04:05+02', 'glad', '10.0.0.1/8', '10.0.0.0/8',
  '08:00:2b:01:02:03', '[1,5)', 7);
INSERT INTO kinds (id, part) VALUES (2, '01234567-89ab-cdef-0123-456789abcdef');
UPDATE kinds SET single = 'NaN', double = '-Infinity', instant = 'infinity', price = 0, free = 1e20, flag = false WHERE id = 1;
UPDATE kinds SET id = 3 WHERE id = 2;
UPDATE kinds SET mood = 'sad';
DELETE FROM kinds WHERE id = 3"""


def comparable(envelope, key, identity):
    """What has to be equal. An envelope's own times are those of sending."""
    rows = {}
    for image in ("before", "after"):
        row = envelope[image]
        # What a delete does not tell is null here, and there the default of a column that is NOT NULL.
        untold = image == "before" and envelope["op"] == "d" and identity == "DEFAULT"
        rows[image] = row and {column: None if untold and column not in key else value
                               for column, value in row.items() if column not in AS_TEXT}
    source = {name: value for name, value in envelope["source"].items() if name not in OURS}
    return {**{name: value for name, value in envelope.items() if name not in TIMES}, **rows, "source": source}


def streamed(records, identity):
    """Envelopes of changes by (key, transaction, place, operation), and how often each is there."""
    found = {}
    for record in records:
        envelope = json.loads(record.value) if record.value else None
        if envelope is None or envelope["op"] == "r":
            continue
        key = json.loads(record.key) if record.key else {}
        key.pop("client_id", None)
        place = (json.dumps(key, sort_keys=True), envelope["source"]["txId"], envelope["source"]["lsn"], envelope["op"])
        found[place] = comparable(envelope, key, identity)
    return found


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_both_captures_write_the_same_envelopes(kafka, shop, pipelines, unique_name, identity):
    """One database, the connector and ours at once: for every change of one there is the same of the other."""
    own(shop, KINDS)
    domains = {**SHOP_DOMAINS, "kinds": {"table": "public.kinds", "event": "kind"}}
    for domain in domains.values():
        shop.execute(f"ALTER TABLE {domain['table']} REPLICA IDENTITY {identity}")
    tables = [domain["table"] for domain in domains.values()]
    connector = DebeziumConnector(kafka, shop, unique_name("diff"), tables,
                                  settings={"decimal.handling.mode": "string", "skipped.operations": "none"})
    pipeline = pipelines({"acme": shop}, domains=domains, settings={"log": {"at": f"kafka://{kafka.address}", "partitions": 1,
                                                           "partitions_per_client": 1, "topics": "{pipeline}.{domain}"}})
    writer = Workload(shop, seed=92).seed_rows()
    try:
        connector.start().wait_streaming()
        pipeline.start_and_wait()
        writer.run(steps=250)
        writer.close()
        shop.execute(KINDS_CHANGES)
        shop.execute("TRUNCATE visits")
        pipeline.wait_queryable()
        shop.execute("INSERT INTO visits (id, page) VALUES ('00000000-0000-0000-0000-000000000001', 'the last one')")
        pipeline.wait_queryable()
        wait_for(lambda: any(b"the last one" in (record.value or b"")
                             for record in kafka.records(f"{connector.name}.public.visits")), 60, "the last row",
                 seen=connector.log_tail)
        for domain, of in domains.items():
            theirs = streamed(kafka.records(f"{connector.name}.{of['table']}"), identity)
            ours = streamed(kafka.records(f"{pipeline.name}.{domain}"), identity)
            assert theirs and ours, domain
            assert set(ours) == set(theirs), domain
            for place, envelope in theirs.items():
                assert ours[place] == envelope, f"{domain} {place}"
    finally:
        connector.remove()
        connector.drop_slot()
