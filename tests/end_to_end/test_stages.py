"""Capture on several nodes and processing on one, in processes of their own, which meet in a log on Kafka."""

import signal

import pytest

from harness import ExitCode, Pipeline, Workload, wait_for
from test_kafka_log import on_kafka as on_kafka_with, order_per_key_goes_back_only_as_repeats, raw_is_a_set

TAKEN_OVER_LIMIT = 120  # seconds, on a loaded machine; a node that dies is followed within two
FEW_TOPICS = {"topics": "{pipeline}.{domain}", "partitions": 2, "partitions_per_client": 1}
READING = ("streaming", "bulk", "snapshot")


def on_kafka(broker):
    return on_kafka_with(broker, **FEW_TOPICS)


class Nodes:
    """Nodes of one pipeline: the same file in folders, and so with data directories, of their own."""

    def __init__(self, folder, name, clients, settings):
        self.folder, self.name, self.clients, self.settings = folder, name, clients, settings
        self.all = []

    def make(self, node, data_of=None):
        """A node; with `data_of` it shares that node's data directory, as on shared storage."""
        settings = {**self.settings, **({"data": str(data_of.data)} if data_of else {})}
        pipeline = Pipeline(self.folder / node, self.name, self.clients, settings=settings)
        if data_of:
            pipeline.data = data_of.data
        self.all.append(pipeline)
        return pipeline

    def capture(self, node):
        return self.make(node).start("--stages", "capture")

    def close(self):
        for node in self.all:
            if node.running():
                node.process.send_signal(signal.SIGCONT)
            node.close()


@pytest.fixture
def nodes(built_program, tmp_path, unique_name):  # pylint: disable=unused-argument
    made = []

    def make(clients, settings):
        made.append(Nodes(tmp_path, unique_name("n").replace("-", ""), clients, settings))
        return made[-1]

    yield make
    for group in made:
        group.close()


def state_of(status, client):
    return next(entry["state"] for entry in status["clients"] if entry["client"] == client)


def wait_reads(node, *clients, limit=TAKEN_OVER_LIMIT):
    node.wait_status(lambda status: all(state_of(status, client) in READING for client in clients), limit,
                     f"the node to read {', '.join(clients)}")


def clean_at_last(broker, process, clients):
    process.wait_queryable(limit=120)
    process.verify_clean()
    for client in clients:
        raw_is_a_set(process, client)
    order_per_key_goes_back_only_as_repeats(broker, process)


def test_two_nodes_capture_and_one_processes(kafka, shops, nodes):
    """Owner and processing are killed under load, each with another one ready; every node says what it knows."""
    acme, globex = shops("acme", "globex")
    writers = [Workload(database, seed=71).seed_rows() for database in (acme, globex)]
    group = nodes({"acme": acme, "globex": globex}, on_kafka(kafka))
    first = group.capture("first")
    wait_reads(first, "acme", "globex")
    second = group.capture("second")  # gets its share of what the first one reads
    process = group.make("process").start("--stages", "process")
    process.wait_state("no_capture", "connecting", "standby", *READING, limit=TAKEN_OVER_LIMIT)
    standby = group.make("standby", data_of=process).start("--stages", "process")
    for writer in writers:
        writer.start(rate=100)
    try:
        for node in (first, second):
            node.wait_status(lambda status: sorted(entry["state"] for entry in status["clients"]) == ["standby", "streaming"],
                             60, "each node to read one client")
        process.wait_status(lambda status: all(entry["state"] == "streaming" and entry["queryable_events"] > 300
                                               for entry in status["clients"]), TAKEN_OVER_LIMIT, "both clients to flow")
        wait_for(lambda: "stands by" in standby.run_log.read_text(), TAKEN_OVER_LIMIT, "the second process to stand by")

        # What a node does not have it refuses by name; what it has it tells.
        refused = first.command("query", "--client", "acme", "SELECT 1")
        assert refused.exit_code == ExitCode.UNAVAILABLE and "ask the one that processes" in refused.errors
        for command in (("verify",), ("wait",), ("tap", "--store", "raw", "--until-caught-up")):
            assert "ask the one that processes" in first.command(*command).errors, command
        assert first.events("order.created", client="acme")
        first.wait_status(lambda status: all(entry["queryable_events"] > 0 and entry["lag"]["events"] is not None
                                             for entry in status["clients"]), TAKEN_OVER_LIMIT, "progress of processing")
        entry = process.client_status("acme")
        assert entry["node"] and entry["captured_events"] > 0 and entry["retained_wal_bytes"] is not None

        first.kill()
        wait_reads(second, "acme", "globex")
        before = process.client_status("acme")["queryable_events"]
        process.wait_status(lambda status: status["clients"][0]["queryable_events"] > before + 200, TAKEN_OVER_LIMIT,
                            "events of the new owner to be queryable")

        process.kill()
        standby.wait_status(lambda status: status["pid"] == standby.process.pid and all(
            entry["state"] == "streaming" and entry["queryable_events"] > 200 for entry in status["clients"]),
                            60, "the standby to process")
    finally:
        for writer in writers:
            writer.close()
    clean_at_last(kafka, standby, ("acme", "globex"))
    assert second.terminate()[0] == ExitCode.OK
    standby.wait_status(lambda status: {entry["state"] for entry in status["clients"]} == {"no_capture"}, TAKEN_OVER_LIMIT,
                        "processing to notice that nobody captures")
    assert standby.terminate()[0] == ExitCode.OK


def test_an_owner_that_was_stopped_for_a_while_does_no_harm(kafka, shops, nodes):
    """It hears of nothing, loses its clients, and goes on as if nothing had been: its events are exact repeats."""
    (acme,) = shops("acme")
    writer = Workload(acme, seed=72).seed_rows()
    group = nodes({"acme": acme}, on_kafka(kafka))
    pair = [group.capture("one"), group.capture("other")]
    for node in pair:
        node.wait_state("standby", *READING, limit=TAKEN_OVER_LIMIT)
    process = group.make("process").start("--stages", "process")
    writer.start(rate=200)
    try:
        process.wait_status(lambda status: status["clients"][0]["queryable_events"] > 300, TAKEN_OVER_LIMIT, "events to flow")
        owner, other = sorted(pair, key=lambda node: state_of(node.status(), "acme") == "standby")
        assert state_of(owner.status(), "acme") == "streaming"
        owner.process.send_signal(signal.SIGSTOP)
        wait_reads(other, "acme")
        before = process.client_status("acme")["queryable_events"]
        process.wait_status(lambda status: status["clients"][0]["queryable_events"] > before + 200, TAKEN_OVER_LIMIT,
                            "events of the other node")
        owner.process.send_signal(signal.SIGCONT)
        owner.wait_status(lambda status: state_of(status, "acme") == "standby"
                          and "reads it" in status["clients"][0]["reason"], TAKEN_OVER_LIMIT, "the owner of before to stand by")
        before = process.client_status("acme")["queryable_events"]
        process.wait_status(lambda status: status["clients"][0]["queryable_events"] > before + 200, TAKEN_OVER_LIMIT, "events to go on")
    finally:
        writer.close()
    clean_at_last(kafka, process, ("acme",))


def test_what_processing_asks_of_capture(kafka, shops, nodes):
    """Rows that lack a value are read again by the node that captures; a reset reaches it while it runs."""
    (acme,) = shops("acme")
    acme.execute("ALTER TABLE orders ALTER COLUMN note SET STORAGE EXTERNAL")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents, note) "
                 "SELECT g, 1, 'open', g, repeat(md5(g::text), 200) FROM generate_series(1, 50) g")
    group = nodes({"acme": acme}, on_kafka(kafka))
    capture = group.capture("capture")
    wait_reads(capture, "acme")
    process = group.make("process").start("--stages", "process")
    process.wait_state(limit=TAKEN_OVER_LIMIT)
    process.wait_queryable(limit=60)
    # A key that changes leaves the unchanged long value out, and the event of the new key may be the first to be read.
    acme.execute("UPDATE orders SET id = id + 1000")
    process.wait_queryable(limit=60)
    process.verify_clean()

    epoch = process.client_status("acme")["durable_position"].split(":")[0]
    acme.execute("DELETE FROM orders WHERE id = 1001")
    process.program("client", process.file, "reset", "acme").expect(ExitCode.OK)
    process.wait_status(lambda status: status["clients"][0]["durable_position"].split(":")[0] > epoch, TAKEN_OVER_LIMIT, "the new epoch")
    process.wait_queryable(limit=60)
    assert process.count("acme", "orders") == 49
    process.verify_clean()


def test_where_stages_run_apart_is_refused_by_name(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    done = pipeline.command("run", "--stages", "process")
    assert done.exit_code == ExitCode.CONFIG and f"{pipeline.file}:" in done.errors
    assert "an embedded log belongs to one process" in done.errors
