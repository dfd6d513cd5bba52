"""The harness's Flink SQL: it reads Debezium's records as its own consumers do."""

import pytest

from harness import DebeziumConnector, FlinkSql, Workload, wait_for


@pytest.fixture
def flink():
    made = FlinkSql()
    yield made
    made.remove()


@pytest.mark.long
def test_a_table_is_read_from_its_changes(kafka, shop, flink, unique_name):
    shop.execute("ALTER TABLE orders REPLICA IDENTITY FULL")
    shop.execute("CREATE TABLE ending (id int PRIMARY KEY)")
    connector = DebeziumConnector(kafka, shop, unique_name("flink"), ["public.orders", "public.ending"])
    topic = f"{connector.name}.public.orders"
    workload = Workload(shop, seed=4).seed_rows()
    try:
        connector.start().wait_streaming()
        workload.run(steps=150).close()
        shop.execute("INSERT INTO ending VALUES (1)")
        wait_for(lambda: kafka.partitions(f"{connector.name}.public.ending"), 30, "the last row",
                 seen=connector.log_tail)
        wait_for(lambda: kafka.records(f"{connector.name}.public.ending"), 30, "the last row", seen=connector.log_tail)
    finally:
        connector.remove()
        connector.drop_slot()
    table = flink.debezium_table("orders", kafka, topic, "id BIGINT, status STRING, total_cents BIGINT")
    rows = flink.select(table, "SELECT id, status, total_cents FROM orders")
    expected = shop.rows("SELECT id::text, status, total_cents::text FROM orders")
    assert rows == sorted(expected) and len(rows) > 20


@pytest.mark.long
def test_a_job_without_an_end_goes_on_until_it_is_stopped(kafka, flink, unique_name):
    source, target = unique_name("in"), unique_name("out")
    kafka.create_topic(source)
    kafka.create_topic(target)
    flink.start(flink.debezium_table("incoming", kafka, source, "id BIGINT", bounded=False) +
                f"CREATE TABLE outgoing (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', "
                f"'topic' = '{target}', 'properties.bootstrap.servers' = '{kafka.address}', 'key.format' = 'json', "
                "'value.format' = 'json');\nINSERT INTO outgoing SELECT id FROM incoming;\n")
    for number in (1, 2):
        kafka.produce(source, [(None, b'{"before": null, "after": {"id": %d}, "op": "c"}' % number)])
        wait_for(lambda number=number: len(kafka.records(target)) == number, 30, "the row", seen=flink.log_tail)


@pytest.mark.long
def test_a_script_that_fails_says_why(flink):
    with pytest.raises(RuntimeError, match="Object 'nothing' not found"):
        flink.run("SELECT * FROM nothing;\n")
