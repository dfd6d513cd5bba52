"""`log: kafka://…`: a pipeline whose events go through a real broker."""

import collections
import json

import pytest

from harness import ExitCode, KafkaBroker, Workload, wait_for
from harness.shop import SHOP_DOMAINS

PARTITIONS = 4
PARTITIONS_PER_CLIENT = 2
LIMIT = 120  # seconds, on a loaded machine; on a quiet one nothing here waits for more than some


@pytest.fixture(scope="module")
def broker_to_hit():
    broker = KafkaBroker(proxied=True).start()
    yield broker
    broker.remove()


@pytest.fixture
def hit_kafka(broker_to_hit):
    """A broker that tests may kill, behind a proxy that they may cut; it runs again at the beginning of each."""
    if broker_to_hit.process is None:
        broker_to_hit.start()
    yield broker_to_hit
    broker_to_hit.proxy.delay = 0


def on_kafka(broker, **more):
    """Settings of a pipeline whose log is on `broker`."""
    return {"log": {"at": f"kafka://{broker.address}", "partitions": PARTITIONS,
                    "partitions_per_client": PARTITIONS_PER_CLIENT, **more}}


def headers_of(record):
    return {name: value.decode(errors="replace") for name, value in record.headers}


def event_topics(broker, pipeline):
    return [topic for topic in broker.topics()
            if topic.startswith(pipeline.name + ".") and not topic.startswith(pipeline.name + "._")]


def raw_is_a_set(pipeline, client):
    """Raw holds each event once; a TRUNCATE may be there once in each of the client's partitions."""
    identities = collections.Counter((event["event"], event["position"], str(event["key"]))
                                     for event in pipeline.events(client=client, store="raw"))
    assert identities, "raw is empty"
    twice = [identity for identity, count in identities.items()
             if count > (PARTITIONS_PER_CLIENT if identity[0].endswith(".truncated") else 1)]
    assert not twice, f"{len(twice)} events are in raw more than once: {twice[:5]}"


def order_per_key_goes_back_only_as_repeats(broker, pipeline):
    """A consumer of the topics sees, key by key, positions that rise, but for exact repeats of what it saw before.

    Rows that a snapshot read are apart: they are written beside the stream, and tell their place by their position alone.
    """
    for topic in event_topics(broker, pipeline):
        seen = collections.defaultdict(dict)  # (partition, key) → position → value
        newest = {}
        for record in broker.records(topic):
            tells = record.value is not None and record.key is not None and headers_of(record)["event"] != "block"
            if not tells or headers_of(record)["event"].endswith(".snapshot"):
                continue
            where = (record.partition, record.key)
            position = headers_of(record)["position"]
            if position <= newest.get(where, ""):
                assert seen[where].get(position) == record.value, f"{topic}: {record.key} goes back to {position}"
            seen[where][position] = record.value
            newest[where] = max(position, newest.get(where, ""))


def clean_at_last(broker, pipeline):
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    for client in pipeline.databases:
        raw_is_a_set(pipeline, client)
    order_per_key_goes_back_only_as_repeats(broker, pipeline)


def test_a_whole_pipeline_through_a_broker(kafka, shops, pipelines):
    acme, globex = shops("acme", "globex")
    writers = [Workload(database, seed=61).seed_rows() for database in (acme, globex)]
    pipeline = pipelines({"acme": acme, "globex": globex}, settings=on_kafka(kafka)).start_and_wait()
    for writer in writers:
        writer.start(rate=100)
    pipeline.wait_status(lambda status: all(client["captured_events"] > 500 for client in status["clients"]), 60,
                         "both clients to have events")
    acme.execute("TRUNCATE visits")
    for writer in writers:
        writer.close()
    pipeline.wait_queryable()
    pipeline.verify_clean()
    pipeline.terminate()
    clean_at_last(kafka, pipeline)

    topics = kafka.topics()
    for event in ("created", "updated", "deleted", "snapshot", "truncated", "absent"):
        assert topics[f"{pipeline.name}.order.{event}"] == PARTITIONS
    records = kafka.records(f"{pipeline.name}.order.created")
    assert {headers_of(record)["client_id"] for record in records} == {"acme", "globex"}
    for client in ("acme", "globex"):
        of_client = [record for record in records if headers_of(record)["client_id"] == client]
        assert len({record.partition for record in of_client}) <= PARTITIONS_PER_CLIENT
        assert {json.loads(record.key)["client_id"] for record in of_client} == {client}
        assert {json.loads(record.value)["op"] for record in of_client} == {"c"}
    assert not pipeline.status()["problems"]


@pytest.mark.parametrize("settings", [{}, {"cleanup": "compact", "compression": "zstd"}, {"format": "block"}],
                         ids=["plain", "compacted", "blocks"])
def test_one_topic_a_domain(settings, kafka, shops, pipelines):
    (acme,) = shops("acme")
    for domain in SHOP_DOMAINS.values():
        acme.execute(f"ALTER TABLE {domain['table']} REPLICA IDENTITY FULL")
    writer = Workload(acme, seed=62).seed_rows().start(rate=100)
    pipeline = pipelines({"acme": acme}, settings=on_kafka(kafka, topics="{pipeline}.{domain}", **settings)).start_and_wait()
    pipeline.wait_status(lambda status: status["clients"][0]["captured_events"] > 300, LIMIT, "events")
    writer.close()
    acme.execute("DELETE FROM orders WHERE id = (SELECT min(id) FROM orders)")
    acme.execute("TRUNCATE visits")
    pipeline.wait_queryable()
    pipeline.terminate()
    clean_at_last(kafka, pipeline)
    topic = f"{pipeline.name}.orders"
    records = kafka.records(topic)
    if "format" in settings:
        assert {headers_of(record)["event"] for record in records} == {"block"}
        assert {record.key for record in records} == {b"acme"}
        return
    events = [record for record in records if record.value is not None]
    assert {"r", "c", "u", "d"} <= {json.loads(record.value)["op"] for record in events}
    if not settings:
        assert len(events) == len(records)
        return
    settings_of_topic = kafka.topic_settings(topic)
    assert settings_of_topic["cleanup.policy"] == "compact"
    assert settings_of_topic["min.compaction.lag.ms"] == settings_of_topic["delete.retention.ms"] == str(7 * 24 * 3600 * 1000)
    assert kafka.topic_settings(f"{topic}.absent")["cleanup.policy"] == "delete"
    newest = {}  # by key: of the event with the greatest position
    for record in events:
        assert "__debezium_unavailable_value" not in str(json.loads(record.value)["after"])
        newest[record.key] = max(newest.get(record.key, ("", None)), (headers_of(record)["position"], record.value))
    rows = [json.loads(value) for _, value in newest.values()]
    kept = {row["after"]["id"]: row["after"]["total_cents"] for row in rows if row["op"] != "d"}
    assert kept == dict(acme.rows("SELECT id, total_cents FROM orders"))
    deleted = {record.key for record in events if json.loads(record.value)["op"] == "d"}
    assert deleted == {record.key for record in records if record.value is None}


def test_a_compacted_topic_takes_no_row_with_a_value_left_out(kafka, shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": acme, "globex": globex},
                         settings=on_kafka(kafka, topics="{pipeline}.{domain}", cleanup="compact")).start_and_wait()
    acme.execute("ALTER TABLE orders ALTER COLUMN note SET STORAGE EXTERNAL")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents, note) VALUES (1, 1, 'toast', 1, repeat('x', 5000))")
    pipeline.wait_queryable()
    acme.execute("UPDATE orders SET status = 'note is left out' WHERE id = 1")
    pipeline.wait_status(lambda status: "REPLICA IDENTITY FULL" in status["clients"][0]["reason"], LIMIT, "acme's reason")
    globex.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'flows', 1)")
    wait_for(lambda: pipeline.count("globex", "orders") == 1, LIMIT, "globex's row")
    pipeline.terminate()
    acme.execute("ALTER TABLE orders REPLICA IDENTITY FULL")
    pipeline.command("client", "reset", "acme").expect(ExitCode.OK)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_topics_of_another_shape_are_refused_by_name(kafka, shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, settings=on_kafka(kafka))
    kafka.create_topic(f"{pipeline.name}.order.created", PARTITIONS + 1)
    done = pipeline.run_until_caught_up()
    assert done.exit_code not in (ExitCode.OK, ExitCode.INTERNAL)
    assert f"topic {pipeline.name}.order.created exists with partitions {PARTITIONS + 1}" in done.errors
    assert f"{pipeline.name}.user.created" not in kafka.topics(), "topics were made nevertheless"


def test_a_data_directory_keeps_its_kind_of_log(kafka, shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.content.update(on_kafka(kafka))
    pipeline.write()
    done = pipeline.run_until_caught_up()
    assert done.exit_code not in (ExitCode.OK, ExitCode.INTERNAL)
    assert "was made with log: embedded" in done.errors


def hit(what, broker, pipeline):
    if what == "the broker":
        broker.kill()
        broker.start()
    elif what == "the pipeline":
        pipeline.kill()
        pipeline.start_and_wait()
    else:
        broker.proxy.delay = 0.02
        for _ in range(3):
            before = captured(pipeline.status())
            broker.proxy.cut()
            pipeline.wait_status(lambda status, before=before: captured(status) > before + 20, LIMIT, "events after a cut")
        broker.proxy.delay = 0


def captured(status):
    return status["clients"][0]["captured_events"]


def hit_under_load(broker, shops, pipelines, hits):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=63).seed_rows()
    pipeline = pipelines({"acme": acme}, settings=on_kafka(broker, at=f"kafka://{broker.address_of('PROXIED')}")).start_and_wait()
    writer.start(rate=200)
    try:
        pipeline.wait_status(lambda status: captured(status) > 300, LIMIT, "events to flow")
        for what in hits:
            hit(what, broker, pipeline)
            before = pipeline.status()["clients"][0]["queryable_events"]
            pipeline.wait_status(lambda status, before=before: status["clients"][0]["queryable_events"] > before + 200, LIMIT,
                                 f"events after {what} was hit")
    finally:
        writer.close()
    pipeline.wait_queryable(limit=LIMIT)
    pipeline.terminate()
    clean_at_last(broker, pipeline)


@pytest.mark.parametrize("what", ["the pipeline", "the broker", "the connections"])
def test_kills_and_cuts_lose_nothing(what, hit_kafka, shops, pipelines):
    hit_under_load(hit_kafka, shops, pipelines, [what])


@pytest.mark.long
def test_kills_and_cuts_in_turn_lose_nothing(hit_kafka, shops, pipelines):
    hit_under_load(hit_kafka, shops, pipelines, 3 * ["the pipeline", "the broker", "the connections"])


def test_a_broker_that_is_away_holds_the_source_up(hit_kafka, shops, pipelines):
    broker = hit_kafka
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, settings=on_kafka(broker)).start_and_wait()
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'before', 1)")
    pipeline.wait_queryable()
    pipeline.terminate()
    broker.kill()
    # It is away at the start, too: `run` waits, ends when it is told to, and waits again.
    for told_to_stop in (True, False):
        pipeline.start()
        wait_for(lambda: "no broker answers" in pipeline.run_log.read_text(), LIMIT, "the run to say for whom it waits")
        wait_for(lambda: any("no broker" in problem for problem in pipeline.status()["problems"]), LIMIT, "status to say so")
        if told_to_stop:
            assert pipeline.terminate()[0] == ExitCode.OK
    broker.start()
    pipeline.wait_state("streaming", limit=LIMIT)
    broker.kill()
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents, note) "
                 "SELECT g, g, 'away', g, repeat('x', 500) FROM generate_series(2, 30000) g")

    def says_so(status):
        return [warning for warning in status["clients"][0]["warnings"] if "kafka" in warning]

    pipeline.wait_status(says_so, LIMIT, "the client's warning that the log takes nothing")
    wait_for(lambda: acme.value("SELECT bool_and(confirmed_flush_lsn < pg_current_wal_lsn()) FROM pg_replication_slots "
                                "WHERE database = %s", (acme.name,)), LIMIT, "the slot to stay behind")
    broker.start()
    pipeline.wait_queryable(limit=LIMIT)
    assert pipeline.count("acme", "orders") == 30000
    pipeline.wait_status(lambda status: not says_so(status), LIMIT, "the warning to go")
    pipeline.terminate()
    clean_at_last(broker, pipeline)


def test_too_large_a_record_holds_up_its_client_alone_until_the_topic_takes_it(kafka, shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": acme, "globex": globex}, settings=on_kafka(kafka, compression="none")).start_and_wait()
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents, note) VALUES (1, 1, 'large', 1, repeat('x', 3000000))")
    large = acme.value("SELECT pg_current_wal_lsn()")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (2, 1, 'behind it', 1)")
    pipeline.wait_status(lambda status: "max.message.bytes" in status["clients"][0]["reason"], LIMIT, "acme's reason")
    globex.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'flows', 1)")
    wait_for(lambda: pipeline.count("globex", "orders") == 1, LIMIT, "globex's row")
    # What was committed behind it may be there, as a true fact; nothing from it on is confirmed.
    assert acme.value("SELECT confirmed_flush_lsn < %s::pg_lsn FROM pg_replication_slots WHERE database = %s", (large, acme.name))
    kafka.change_topic(f"{pipeline.name}.order.created", max_message_bytes=10_000_000)
    pipeline.wait_queryable(limit=LIMIT)
    assert pipeline.count("acme", "orders") == 2
    pipeline.verify_clean()


def waits_for(topic):
    return lambda status: [warning for warning in status["clients"][0]["warnings"] if topic in warning]


def test_a_topic_that_is_gone_holds_up_its_client_alone_until_it_is_back(kafka, shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": acme, "globex": globex}, settings=on_kafka(kafka)).start_and_wait()
    for database in (acme, globex):
        database.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'old', 1), (2, 1, 'old', 1)")
    pipeline.wait_queryable()
    topic = f"{pipeline.name}.order.deleted"
    kafka.delete_topic(topic)
    acme.execute("DELETE FROM orders WHERE id = 1")
    deleted = acme.value("SELECT pg_current_wal_lsn()")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (3, 1, 'behind it', 1)")
    pipeline.wait_status(waits_for(topic), LIMIT, "acme's warning")
    assert not pipeline.client_status("globex")["warnings"]
    for number in range(10):
        globex.execute("UPDATE orders SET total_cents = %s WHERE id = 2", (number,))
        wait_for(lambda number=number: pipeline.value("globex", "SELECT total_cents FROM orders WHERE id = 2") == number,
                 LIMIT, "globex's rows to flow")
    assert acme.value("SELECT confirmed_flush_lsn < %s::pg_lsn FROM pg_replication_slots WHERE database = %s",
                      (deleted, acme.name))
    kafka.create_topic(topic, PARTITIONS, retention_ms=7 * 24 * 3600 * 1000)
    pipeline.wait_queryable(limit=LIMIT)
    pipeline.wait_status(lambda status: not waits_for(topic)(status), LIMIT, "the warning to go")
    assert pipeline.count("acme", "orders") == 2
    pipeline.verify_clean()


def test_a_topic_that_is_deleted_with_its_records_and_made_again_is_read_from_its_beginning(kafka, shops, pipelines):
    (acme,) = shops("acme")
    settings = on_kafka(kafka, partitions=1, partitions_per_client=1)
    pipeline = pipelines({"acme": acme}, settings=settings).start_and_wait()
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, 1, 'old', 1 FROM generate_series(1, 20) g")
    pipeline.wait_queryable()
    topic = f"{pipeline.name}.order.created"
    kafka.delete_topic(topic)
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (100, 1, 'while it was gone', 1)")
    pipeline.wait_status(waits_for(topic), LIMIT, "acme's warning")
    kafka.create_topic(topic, 1, retention_ms=7 * 24 * 3600 * 1000)
    for number in range(5):
        acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (%s, 1, 'new', 1)", (200 + number,))
    wait_for(lambda: pipeline.count("acme", "orders") == 26, LIMIT, "what is in the new topic", seen=pipeline.status)
    assert any("was deleted and made again" in problem for problem in pipeline.status()["problems"])
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, 1, 'new', 1 FROM generate_series(300, 340) g")
    pipeline.wait_queryable(limit=LIMIT)
    pipeline.verify_clean()


def test_a_partition_that_lost_what_was_not_processed_goes_on_after_a_reset(kafka, shops, pipelines):
    (acme,) = shops("acme")
    settings = on_kafka(kafka, partitions=1, partitions_per_client=1)
    pipeline = pipelines({"acme": acme}, settings=settings)
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'old', 1)")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, 1, 'lost', 1 FROM generate_series(2, 50) g")
    topic = f"{pipeline.name}.order.created"
    data = pipeline.content["data"]
    pipeline.content["data"] = str(pipeline.folder / "of-the-node-that-captures")
    pipeline.write()
    pipeline.start("--stages", "capture")
    wait_for(lambda: kafka.end_offsets(topic)[0] > 40, LIMIT, "the orders in the topic")
    pipeline.terminate()
    pipeline.content["data"] = data
    pipeline.write()
    kafka.delete_records(topic, 0, kafka.end_offsets(topic)[0] - 5)
    pipeline.start()
    pipeline.wait_status(lambda status: any("events are lost" in problem for problem in status["problems"]), LIMIT,
                         "the loss to be told of")
    pipeline.command("client", "reset", "acme").expect(ExitCode.OK)
    wait_for(lambda: pipeline.count("acme", "orders") == 50, LIMIT, "the rows that were lost", seen=pipeline.status)
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, 1, 'new', 1 FROM generate_series(51, 60) g")
    wait_for(lambda: pipeline.count("acme", "orders") == 60, LIMIT, "the rows behind them", seen=pipeline.status)
    pipeline.wait_queryable(limit=LIMIT)
    pipeline.verify_clean()


def rename_topics(content):
    content["log"]["topics"] = "{pipeline}.renamed.{event}"


def topics_by_domain(content):
    content["log"]["topics"] = "{pipeline}.{domain}"


def rename_events(content):
    content["domains"]["orders"]["event"] = "purchase"


def more_partitions_and_names(content):
    content["log"] |= {"topics": "{pipeline}.wider.{event}", "partitions": 6}


def rename_domain(content):
    content["log"]["topics"] = "{pipeline}.{domain}"
    content["domains"]["purchases"] = content["domains"].pop("orders") | {"table": "public.orders"}


def rename_domain_of_blocks(content):
    content["domains"]["purchases"] = content["domains"].pop("orders") | {"table": "public.orders"}


rename_domain_of_blocks.settings = {"topics": "{pipeline}.{domain}", "format": "block"}


@pytest.mark.parametrize("change", [rename_topics, topics_by_domain, rename_events, more_partitions_and_names, rename_domain,
                                    rename_domain_of_blocks])
def test_topics_of_other_names_leave_nothing_in_the_old_ones(change, kafka, shops, pipelines):
    """What was captured into the old topics, and not processed yet when the file changed."""
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, domains={"orders": {"table": "public.orders", "event": "order"}}, views={},
                         settings=on_kafka(kafka, **getattr(change, "settings", {})))
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, 1, 'a', 1 FROM generate_series(1, 10) g")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    data = pipeline.content["data"]
    pipeline.content["data"] = str(pipeline.folder / "of-the-node-that-captures")
    pipeline.write()
    pipeline.start("--stages", "capture")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, 1, 'b', 1 FROM generate_series(11, 30) g")
    acme.execute("DELETE FROM orders WHERE id = 1")  # where each kind has a topic, into one that never had an event
    here = acme.value("SELECT pg_current_wal_lsn()::text")
    wait_for(lambda: acme.value("SELECT bool_and(confirmed_flush_lsn >= %s) FROM pg_replication_slots "
                                "WHERE database = current_database()", (here,)), LIMIT, "the changes in the log")
    pipeline.terminate()
    pipeline.content["data"] = data
    change(pipeline.content)
    pipeline.write()
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (31, 1, 'c', 1)")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert pipeline.count("acme", next(iter(pipeline.content["domains"]))) == 30
    pipeline.verify_clean()


def test_what_waits_of_a_domain_that_was_taken_out_holds_nothing_up(kafka, shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, domains={"orders": {"table": "public.orders"}, "visits": {"table": "public.visits", "event": "visit"}}, views={},
                         settings=on_kafka(kafka))
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    data = pipeline.content["data"]
    pipeline.content["data"] = str(pipeline.folder / "of-the-node-that-captures")
    pipeline.write()
    pipeline.start("--stages", "capture")
    acme.execute("INSERT INTO visits (id, page) SELECT gen_random_uuid(), 'home' FROM generate_series(1, 5)")
    wait_for(lambda: sum(kafka.end_offsets(f"{pipeline.name}.visit.created").values()) == 5, LIMIT, "the visits' records")
    pipeline.terminate()
    pipeline.content["data"] = data
    del pipeline.content["domains"]["visits"]
    pipeline.write()
    pipeline.start_and_wait()
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'a', 1)")
    pipeline.wait_queryable(limit=LIMIT)
    pipeline.verify_clean()


@pytest.mark.parametrize("made_again", [False, True])
def test_a_state_topic_that_is_gone_is_refused_by_name(made_again, kafka, shops, pipelines):
    """Without it the records of later versions of a table could not be read, nor would anybody know what was captured."""
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, settings=on_kafka(kafka))
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'a', 1)")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    topic = f"{pipeline.name}._state"
    kafka.delete_topic(topic)
    if made_again:
        kafka.create_topic(topic, 1, cleanup_policy="compact", min_compaction_lag_ms=600000)
    wanted = f"{topic} is {'empty' if made_again else 'gone'}"
    assert wanted in pipeline.command("check", "--connect").errors
    refused = pipeline.run_until_caught_up()
    assert refused.exit_code not in (ExitCode.OK, None) and wanted in refused.errors and "delete the pipeline's topics" in refused.errors
    for name in event_topics(kafka, pipeline) + ([topic] if made_again else []):
        kafka.delete_topic(name)
    pipeline.content["data"] = str(pipeline.folder / "anew")
    pipeline.write()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
