"""`source: debezium+kafka://…`: a client whose changes are the messages of a real connector, beside one read natively."""

import json

import pytest

from harness import DebeziumConnector, ExitCode, KafkaBroker, Workload, wait_for
from harness.shop import SHOP_DOMAINS
from test_kafka_log import on_kafka, order_per_key_goes_back_only_as_repeats, raw_is_a_set

TABLES = [domain["table"] for domain in SHOP_DOMAINS.values()]


def address(broker, prefix, **parameters):
    query = "&".join(f"{name.replace('__', '.')}={value}" for name, value in parameters.items())
    return f"debezium+kafka://{broker.address}/{prefix}" + (f"?{query}" if query else "")


def client_of(broker, prefix, database, **parameters):
    """As in the pipeline file; `verify` asks the database itself."""
    return {"source": address(broker, prefix, **parameters), "verify_source": database.url(), "password": None,
            "verify_password": "${env:OF_THE_DATABASE}"}


@pytest.fixture
def connectors(kafka, unique_name):
    """Makes connectors: connectors(shop, schemas=True). They and their slots go with the test."""
    made = []

    def make(database, **options):
        made.append(DebeziumConnector(kafka, database, unique_name("dbz"), options.pop("tables", TABLES), **options))
        return made[-1]

    yield make
    for connector in made:
        connector.remove()
        connector.drop_slot()


def end_marker(database, broker, connector):
    """Returns when everything written so far is in the topics."""
    database.execute("INSERT INTO visits (id, page) VALUES (gen_random_uuid(), 'marker')")
    marker = database.value("SELECT id FROM visits WHERE page = 'marker' ORDER BY ctid DESC LIMIT 1")
    topic = f"{connector.name}.public.visits"
    wait_for(lambda: broker.partitions(topic) and any(record.key and str(marker) in record.key.decode()
                                                      for record in broker.records(topic)),
             60, "the connector to write everything", seen=connector.log_tail)


def make_pipeline(pipelines, clients, database, **options):
    return pipelines(clients, environment={"OF_THE_DATABASE": database.server.password}, **options)


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_client_read_from_a_connector_equals_its_database(kafka, shops, pipelines, connectors, partitions):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=71).seed_rows()
    connector = connectors(acme, schemas=True, settings={"skipped.operations": "none",
                                                         "topic.creation.default.partitions": partitions}).start()
    pipeline = make_pipeline(pipelines, {"acme": client_of(kafka, connector.name, acme), "beside": acme}, acme)
    connector.wait_streaming()
    writer.start(rate=150)
    pipeline.start_and_wait()
    pipeline.wait_status(lambda status: all(client["captured_events"] > 500 for client in status["clients"]), 60,
                         "both clients to have events")
    connector.kill()
    acme.execute("TRUNCATE visits")
    connector.start().wait_streaming()
    pipeline.kill()
    pipeline.start_and_wait()
    pipeline.wait_status(lambda status: all(client["captured_events"] > 300 for client in status["clients"]), 60,
                         "events after the kill")
    writer.close()
    end_marker(acme, kafka, connector)
    pipeline.terminate()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    for view in SHOP_DOMAINS:
        native, of_connector = (pipeline.query(client, f"SELECT * FROM {view} ORDER BY ALL") for client in ("beside", "acme"))
        assert native == of_connector, view
    identities = [(event["event"], event["position"], json.dumps(event["key"], sort_keys=True))
                  for event in pipeline.events(client="acme", store="raw")]
    assert len(identities) == len(set(identities)), "events are in raw more than once"
    assert not pipeline.client_status("acme")["warnings"]


def test_a_column_that_rows_read_before_may_lack_is_told_of(kafka, shops, pipelines, connectors):
    """One that may be null, and came alone, is NULL in them; a default, or what a column of another name had, no message tells."""
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email) SELECT g, 'u' || g FROM generate_series(1, 5) g")
    connector = connectors(acme, schemas=True).start()
    connector.wait_streaming()
    end_marker(acme, kafka, connector)
    domains = {name: SHOP_DOMAINS[name] for name in ("users", "visits")}
    pipeline = make_pipeline(pipelines, {"acme": client_of(kafka, connector.name, acme)}, acme, domains=domains)
    pipeline.start_and_wait()

    def warnings_after(change):
        acme.execute(change)
        acme.execute("UPDATE users SET name = 'n' || clock_timestamp() WHERE id = 1")
        end_marker(acme, kafka, connector)
        marker = acme.value("SELECT count(*) FROM visits")
        wait_for(lambda: pipeline.count("acme", "visits") == marker, 60, "the marker", seen=pipeline.status)
        return pipeline.client_status("acme")["warnings"]

    assert not warnings_after("ALTER TABLE users ADD COLUMN phone text")
    (told,) = warnings_after("ALTER TABLE users ADD COLUMN tier text NOT NULL DEFAULT 'basic'")
    assert told.startswith("tier of public.users came") and "snapshot" in told
    (told,) = warnings_after("ALTER TABLE users RENAME COLUMN phone TO telephone")
    assert told.startswith("telephone, tier of public.users came")


def kill_and_start(victim):
    victim.kill()
    victim.start()


@pytest.mark.long
def test_a_connector_and_a_log_on_one_broker_lose_nothing_whatever_is_killed(shops, pipelines, unique_name):
    (acme,) = shops("acme")
    broker = KafkaBroker().start()
    connector = DebeziumConnector(broker, acme, unique_name("dbz"), TABLES, schemas=True, settings={"skipped.operations": "none"})
    writer = Workload(acme, seed=73).seed_rows()
    try:
        connector.start().wait_streaming()
        pipeline = make_pipeline(pipelines, {"acme": client_of(broker, connector.name, acme)}, acme,
                                 settings=on_kafka(broker)).start_and_wait()
        writer.start(rate=100)

        def queryable(status):
            return status["clients"][0]["queryable_events"]

        pipeline.wait_status(lambda status: queryable(status) > 300, 120, "events to flow")
        for victim in 2 * [connector, broker, pipeline]:
            kill_and_start(victim)
            if victim is pipeline:
                pipeline.wait_state()
            before = queryable(pipeline.status())
            pipeline.wait_status(lambda status, before=before: queryable(status) > before + 200, 120,
                                 f"events after the kill of the {type(victim).__name__}")
        acme.execute("TRUNCATE visits")
        writer.close()
        end_marker(acme, broker, connector)
        pipeline.wait_queryable(limit=120)
        pipeline.terminate()
        pipeline.run_until_caught_up().expect(ExitCode.OK)
        pipeline.verify_clean()
        raw_is_a_set(pipeline, "acme")
        order_per_key_goes_back_only_as_repeats(broker, pipeline)
        assert not pipeline.client_status("acme")["warnings"]
    finally:
        writer.close()
        connector.remove()
        connector.drop_slot()
        broker.remove()


def test_taking_over_from_a_connector_leaves_no_gap_and_reads_no_table(kafka, shops, pipelines, connectors):
    """docs/migrate-from-debezium.md, step by step, with a writer that never stops."""
    (acme,) = shops("acme")
    writer = Workload(acme, seed=72).seed_rows()
    connector = connectors(acme, schemas=True, settings={"skipped.operations": "none", "heartbeat.interval.ms": 200}).start()
    pipeline = make_pipeline(pipelines, {"acme": client_of(kafka, connector.name, acme)}, acme).start()
    connector.wait_streaming()
    writer.start(rate=100)
    name = f"tributary_{pipeline.name}_acme"
    tables = ", ".join(f"ONLY {table}" for table in TABLES)
    acme.execute(f"CREATE PUBLICATION {name} FOR TABLE {tables} WITH (publish_via_partition_root = true)")
    head = acme.value("SELECT pg_current_wal_lsn()")
    wait_for(lambda: acme.value("SELECT confirmed_flush_lsn > %s FROM pg_replication_slots WHERE slot_name = %s",
                                (head, connector.slot)), 60, "the connector to confirm", seen=connector.log_tail)
    acme.execute("SELECT pg_copy_logical_replication_slot(%s, %s)", (connector.slot, name))
    pipeline.wait_state("streaming")
    end_marker(acme, kafka, connector)
    pipeline.wait_queryable()
    pipeline.terminate()
    events = [event for event in pipeline.events(client="acme") if event["event"].endswith(".snapshot")]
    pipeline.content["clients"]["acme"]["source"] = acme.url()
    pipeline.content["clients"]["acme"]["password"] = "${env:OF_THE_DATABASE}"
    pipeline.write()
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    writer.close()
    connector.kill()
    pipeline.terminate()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    after = [event for event in pipeline.events(client="acme") if event["event"].endswith(".snapshot")]
    assert len(after) == len(events), "a table was read"


def test_taking_over_without_a_slot_is_refused_with_what_to_do(kafka, shops, pipelines, connectors):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email) VALUES (1, 'one')")
    connector = connectors(acme, schemas=True).start()
    pipeline = make_pipeline(pipelines, {"acme": client_of(kafka, connector.name, acme)}, acme)
    connector.wait_streaming()
    end_marker(acme, kafka, connector)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.content["clients"]["acme"].update(source=acme.url(), password="${env:OF_THE_DATABASE}")
    pipeline.write()
    done = pipeline.run_until_caught_up()
    assert done.exit_code == ExitCode.UNAVAILABLE and "pg_copy_logical_replication_slot" in done.errors, done
    pipeline.command("client", "reset", "acme").expect(ExitCode.OK)
    acme.execute("INSERT INTO users (id, email) VALUES (2, 'two'); DELETE FROM users WHERE id = 1")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()


VISITS = {"visits": {**SHOP_DOMAINS["visits"], "columns": {"id": "uuid", "page": "text", "seconds": "real", "visited_on": "date"}}}


def visit(prefix, number, lsn):
    """Key and value of a visit's creation, as a connector without schemas writes them."""
    source = {"connector": "postgresql", "name": prefix, "ts_ms": 1, "snapshot": "false", "db": "shop",
              "sequence": f'["100","{lsn}"]', "schema": "public", "table": "visits", "txId": 1, "lsn": lsn}
    key = {"id": f"00000000-0000-0000-0000-{number:012}"}
    return key, {"before": None, "after": {**key, "page": "one", "seconds": 1.5, "visited_on": 20000}, "source": source, "op": "c"}


def test_status_tells_how_many_messages_wait_in_the_topics(kafka, shops, pipelines, unique_name):
    (acme,) = shops("acme")
    prefix = unique_name("hand")
    topic = f"{prefix}.public.visits"
    kafka.create_topic(topic, 2)
    count = 3000
    kafka.produce(topic, [tuple(json.dumps(part).encode() for part in visit(prefix, number, 200 + number))
                          for number in range(count)])
    client = {**client_of(kafka, prefix, acme), "limits": {"rows_per_second": 100}}
    pipeline = make_pipeline(pipelines, {"acme": client}, acme, domains=VISITS).start()
    waiting = pipeline.wait_status(lambda status: status["clients"][0]["captured_events"] > 0
                                   and status["clients"][0]["lag"]["messages"], 60, "messages to wait")
    assert 0 < waiting < count
    assert " msgs " in pipeline.command("status").output
    pipeline.terminate()
    del pipeline.content["clients"]["acme"]["limits"]
    pipeline.write()
    pipeline.start()
    pipeline.wait_status(lambda status: status["clients"][0]["lag"]["messages"] == 0, 60, "no message to wait")
    pipeline.wait_queryable()
    assert pipeline.count("acme", "visits") == count


def test_a_message_that_is_none_is_a_dead_letter_and_the_rest_flows(kafka, shops, pipelines, unique_name):
    """Without a connector: records as it would write them, among others."""
    (acme,) = shops("acme")
    prefix = unique_name("hand")
    topic = f"{prefix}.public.visits"
    kafka.create_topic(topic)
    key, good = visit(prefix, 1, 200)
    later = {"before": None, "after": {**good["after"], "page": "two"}, "op": "u",
             "source": {**good["source"], "lsn": 300, "sequence": '["250","300"]', "ts_ms": 2}}
    kafka.produce(topic, [(json.dumps(key).encode(), json.dumps(good).encode()), (None, b"no JSON"),
                          (json.dumps(key).encode(), json.dumps({**good, "op": "?"}).encode()),
                          (json.dumps(key).encode(), None), (json.dumps(key).encode(), json.dumps(later).encode())])
    pipeline = make_pipeline(pipelines, {"acme": client_of(kafka, prefix, acme)}, acme, domains=VISITS)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert [row["page"] for row in pipeline.query("acme", "SELECT page FROM visits")] == ["two"]
    assert "2 messages could not be read" in pipeline.client_status("acme")["warnings"][0]
    letters = json.loads(pipeline.command("dead-letters", "show", "--json").expect(ExitCode.OK).output)
    assert [letter["events"][0]["value"][:7] for letter in letters] == ["no JSON", '{"befor']
    assert all(letter["client"] == "acme" and topic in letter["id"] for letter in letters)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert "2 messages" in pipeline.client_status("acme")["warnings"][0], "they were counted twice"
