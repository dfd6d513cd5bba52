"""The harness's Debezium connector: it captures, and after a kill it goes on where its offsets say."""

import json

import pytest

from harness import DebeziumConnector, UpsertSink, Workload, wait_for


@pytest.fixture
def connector(kafka, shop, unique_name):
    made = DebeziumConnector(kafka, shop, unique_name("acme"), tables=["public.users"])
    yield made
    made.remove()
    made.drop_slot()


def test_it_captures_and_goes_on_after_a_kill(kafka, shop, connector):
    topic = f"{connector.name}.public.users"

    def changes():
        records = kafka.records(topic) if kafka.partitions(topic) else []
        return [(json.loads(record.value)["op"], json.loads(record.value)["after"]["name"]) for record in records]

    shop.execute("INSERT INTO users (id, email, name) VALUES (1, 'a@example.com', 'first')")
    connector.start()
    wait_for(lambda: changes() == [("r", "first")], 30, "the snapshot", seen=connector.log_tail)
    connector.wait_streaming()
    shop.execute("UPDATE users SET name = 'second'")
    wait_for(lambda: ("u", "second") in changes(), 30, "the change", seen=connector.log_tail)
    wait_for(lambda: (connector.offset() or {}).get("snapshot") is None and connector.offset(), 30, "a stored offset",
             seen=connector.offset)
    connector.kill()
    shop.execute("UPDATE users SET name = 'third'")
    connector.start()
    wait_for(lambda: ("u", "third") in changes(), 30, "the change made meanwhile", seen=connector.log_tail)
    assert changes()[0] == ("r", "first")
    assert [change for change in changes() if change[0] == "r"] == [("r", "first")], "a second snapshot was taken"


@pytest.mark.long
def test_its_sink_makes_a_copy(kafka, shops, unique_name):
    shop, copy = shops("acme", "copy")
    tables = {"users": "id, email, name, country, balance, biography",
              "orders": "id, user_id, status, total_cents, note",
              "products": "sku, title, price_cents, discontinued, tags"}
    for table in tables:
        shop.execute(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
        copy.execute(f"DROP TABLE {table} CASCADE")
    prefix = unique_name("sink")
    connector = DebeziumConnector(kafka, shop, prefix, [f"public.{table}" for table in tables], schemas=True)
    sink = UpsertSink(kafka, copy, f"{prefix}\\..*", regular=True)

    def rows(database, table):
        exists = database.value("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",))
        return database.rows(f"SELECT {tables[table]} FROM {table} ORDER BY 1") if exists else None

    workload = Workload(shop, seed=3).seed_rows()
    try:
        connector.start().wait_streaming()
        sink.start()
        workload.run(steps=100).close()
        for table in tables:
            wait_for(lambda table=table: rows(copy, table) == rows(shop, table), 60, f"a copy of {table}",
                     seen=sink.log_tail)
    finally:
        sink.remove()
        connector.remove()
        connector.drop_slot()
