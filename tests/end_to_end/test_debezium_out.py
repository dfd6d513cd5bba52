"""What capture writes to Kafka, read by those who read Debezium's topics, unchanged: Flink's debezium-json format and an
upserting sink of Kafka Connect into a second PostgreSQL."""

import pytest

from harness import ExitCode, FlinkSql, UpsertSink, Workload, wait_for

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
