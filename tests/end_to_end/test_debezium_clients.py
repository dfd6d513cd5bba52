"""Several clients on the topics of one connector, told apart by a header: each one's trouble is its own."""

import json

from harness import ExitCode, wait_for
from test_debezium_source import VISITS, client_of, make_pipeline, visit
from test_kafka_log import PARTITIONS, on_kafka

LIMIT = 60
WEEK = 7 * 24 * 3600 * 1000


def message(prefix, number, lsn, client, page="one", op="c"):
    """A record as a connector without schemas writes it, with the header that names the client."""
    key, value = visit(prefix, number, lsn)
    value["after"]["page"] = page
    value["op"] = op
    value["source"]["ts_ms"] = lsn
    if op == "d":
        value["before"], value["after"] = value["after"], None
    return json.dumps(key).encode(), json.dumps(value).encode(), [("tenant", client.encode())]


class Rig:
    """acme and globex on one prefix, with five visits each."""

    def __init__(self, kafka, shops, pipelines, unique_name, settings=None, acme=None):
        self.kafka = kafka
        self.databases = shops("acme", "globex")
        self.prefix = unique_name("hand")
        self.topic = f"{self.prefix}.public.visits"
        kafka.create_topic(self.topic)
        clients = {name: client_of(kafka, self.prefix, database, header=f"tenant:{name}")
                   for name, database in zip(("acme", "globex"), self.databases)}
        clients["acme"].update(acme or {})
        self.lsn = 200
        self.pipeline = make_pipeline(pipelines, clients, self.databases[0], domains=VISITS, settings=settings or {})
        self.produce("acme", *range(1, 6))
        self.produce("globex", *range(11, 16))

    def produce(self, client, *numbers, **more):
        self.kafka.produce(self.topic, [self.message(client, number, **more) for number in numbers])

    def message(self, client, number, **more):
        self.lsn += 1
        return message(self.prefix, number, self.lsn, client, **more)

    def wait_count(self, client, count):
        wait_for(lambda: self.pipeline.count(client, "visits") == count, LIMIT, f"{count} rows of {client}",
                 seen=self.pipeline.status)

    def wait_client(self, client, condition, what):
        def holds(status):
            return condition(next(entry for entry in status["clients"] if entry["client"] == client))
        self.pipeline.wait_status(holds, LIMIT, what)


def test_a_topic_of_the_log_that_is_gone_holds_up_its_client_alone(kafka, shops, pipelines, unique_name):
    rig = Rig(kafka, shops, pipelines, unique_name, settings=on_kafka(kafka))
    rig.pipeline.start_and_wait()
    rig.pipeline.wait_queryable()
    gone = f"{rig.pipeline.name}.visit.deleted"
    kafka.delete_topic(gone)
    rig.produce("acme", 1, op="d")
    rig.wait_client("acme", lambda client: client["state"] == "backing_off" and gone in client["reason"], "acme's reason")
    rig.produce("globex", *range(16, 21))
    rig.produce("acme", *range(6, 9))
    rig.wait_count("globex", 10)
    rig.wait_client("globex", lambda client: client["state"] == "streaming" and not client["reason"], "globex to be well")
    rig.wait_client("acme", lambda client: client["lag"]["messages"] > 0, "acme's messages to be told of")
    assert rig.pipeline.count("acme", "visits") == 5
    kafka.create_topic(gone, PARTITIONS, retention_ms=WEEK)
    rig.wait_count("acme", 7)
    rig.wait_client("acme", lambda client: client["state"] == "streaming" and not client["reason"], "acme to be well")
    assert rig.pipeline.count("globex", "visits") == 10


def test_a_record_that_is_too_large_for_the_log_is_tried_again(kafka, shops, pipelines, unique_name):
    rig = Rig(kafka, shops, pipelines, unique_name, settings=on_kafka(kafka, compression="none"))
    rig.pipeline.start_and_wait()
    rig.pipeline.wait_queryable()
    topic = f"{rig.pipeline.name}.visit.updated"
    kafka.change_topic(topic, max_message_bytes=1000)
    rig.produce("acme", 2, op="u", page="x" * 50_000)
    rig.wait_client("acme", lambda client: client["state"] == "backing_off" and "max.message.bytes" in client["reason"],
                    "acme's reason")
    rig.produce("globex", 16)
    rig.produce("acme", 6)
    rig.wait_count("globex", 6)
    kafka.change_topic(topic, max_message_bytes=10_000_000)
    wait_for(lambda: rig.pipeline.value("acme", "SELECT max(length(page)) FROM visits") == 50_000, LIMIT, "the large row")
    rig.wait_count("acme", 6)
    rig.wait_client("acme", lambda client: client["state"] == "streaming" and not client["reason"], "acme to be well")


def test_a_client_that_is_held_to_its_pace_waits_alone(kafka, shops, pipelines, unique_name):
    rig = Rig(kafka, shops, pipelines, unique_name, acme={"limits": {"rows_per_second": 10}})
    rig.produce("acme", *range(1001, 3001))
    rig.produce("globex", 16)
    rig.pipeline.start()
    rig.wait_client("globex", lambda client: client["queryable_events"] == 6, "globex's row behind acme's")
    status = rig.pipeline.client_status("acme")
    assert status["captured_events"] < 1000, "it was not held to its pace"
    assert status["lag"]["messages"] > 1000
    rig.wait_client("acme", lambda client: client["pace"]["held"], "acme to be held")
    assert not rig.pipeline.client_status("globex")["pace"]["held"]


def test_a_broken_message_is_its_clients_own_and_is_shown_whatever_its_bytes(kafka, shops, pipelines, unique_name):
    rig = Rig(kafka, shops, pipelines, unique_name)
    key, value, headers = rig.message("acme", 6)
    kafka.produce(rig.topic, [(key, b"\xff\xfe secret of acme", headers), (key, value, headers)])
    rig.pipeline.start_and_wait()
    rig.pipeline.wait_queryable()
    assert rig.pipeline.count("acme", "visits") == 6
    assert len(rig.pipeline.client_status("acme")["warnings"]) == 1
    assert not rig.pipeline.client_status("globex")["warnings"]
    for arguments in (("show",), ("show", "--json"), ("list", "--json")):
        shown = rig.pipeline.command("dead-letters", *arguments).expect(ExitCode.OK).output
        assert ("secret of acme" in shown) == ("show" in arguments)
        assert "globex" not in shown
    assert rig.pipeline.running(), rig.pipeline.log_tail()
    rig.pipeline.terminate()
    assert "secret of acme" in rig.pipeline.command("dead-letters", "show", "--json").expect(ExitCode.OK).output


def test_a_topic_made_anew_stops_its_clients_until_they_are_reset(kafka, shops, pipelines, unique_name):
    rig = Rig(kafka, shops, pipelines, unique_name)
    rig.pipeline.run_until_caught_up().expect(ExitCode.OK)
    kafka.delete_topic(rig.topic)
    kafka.create_topic(rig.topic)
    rig.produce("acme", *range(21, 41))  # more than were read of the old one
    rig.produce("globex", *range(41, 43))
    done = rig.pipeline.run_until_caught_up()
    assert done.exit_code == ExitCode.UNAVAILABLE and "the topic was made anew" in done.errors, done
    rig.pipeline.start()
    rig.wait_client("acme", lambda client: client["state"] == "stopped", "acme to stop")
    rig.wait_client("globex", lambda client: client["state"] == "stopped", "globex to stop")
    assert "at once" in rig.pipeline.command("client", "reset", "acme").expect(ExitCode.OK).output
    rig.wait_count("acme", 25)
    assert rig.pipeline.count("globex", "visits") == 5
    rig.pipeline.terminate()
    rig.pipeline.command("client", "reset", "globex").expect(ExitCode.OK)
    rig.pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert rig.pipeline.count("globex", "visits") == 7
    assert rig.pipeline.count("acme", "visits") == 25
