"""`source: debezium+kafka://…`: a client whose changes are the messages of a real connector, beside one read natively."""

import json

import pytest

from harness import DebeziumConnector, ExitCode, Workload, wait_for
from harness.shop import SHOP_DOMAINS

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


def test_a_client_read_from_a_connector_equals_its_database(kafka, shops, pipelines, connectors):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=71).seed_rows()
    connector = connectors(acme, schemas=True, settings={"skipped.operations": "none"}).start()
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
