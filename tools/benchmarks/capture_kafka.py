"""capture --log kafka: the backlog into topics of a broker, beside Debezium's connector, tuned, on the same broker.

What the state topic remembers is put back before each round by writing it again: records of a topic cannot be taken out.
"""

import pathlib
import re
import time

from harness import wait_for
from harness.debezium import TUNED, TUNED_OPTIONS, TUNED_WORKER, DebeziumConnector
from harness.kafka import KafkaBroker
from harness.pipeline import program

from . import measuring
from .backlog import Backlog

BROKER_OPTIONS = ("-Xms512m", "-Xmx1g")
POLL = 0.1
PREFIX = "peer"
TABLES = ["public.bench_rows", "public.accounts"]
CONTESTANTS = {"tributary": {}, "tributary, blocks": {"format": "block", "topics": "{pipeline}.{domain}"}}


def run(options, folder):
    broker = KafkaBroker(options=BROKER_OPTIONS).start()
    contestants = {name: Ours(folder / f"kafka{number}", options, broker, settings)
                   for number, (name, settings) in enumerate(CONTESTANTS.items())}
    try:
        runs = {name: [] for name in contestants}
        for name, ours in contestants.items():
            options.say(f"{name}: writing a backlog of {ours.backlog.rows:,} changes …")
            ours.make(with_peer=name == "tributary")
        peer = contestants["tributary"].peer
        if peer:
            runs["debezium, tuned"] = []
        for number in range(options.runs):
            for name in sorted(runs, key=lambda name: (list(runs).index(name) + number) % len(runs)):
                measured = peer.drain() if name.startswith("debezium") else contestants[name].drain()
                runs[name].append(measured)
                options.say(f"round {number + 1}: {name}: " + ", ".join(f"{key} {value:,.2f}" for key, value in measured.items()))
        backlog = contestants["tributary"].backlog
        medians = {name: {key: measuring.median_of(of_one, key) for key in of_one[0]} for name, of_one in runs.items()}
        return {"machine": measuring.machine(backlog.server), "rows": backlog.rows, "kafka": medians, "kafka_runs": runs}
    finally:
        for ours in contestants.values():
            ours.close()
        broker.remove()


def report(result):
    """The medians as lines to read."""
    lines = []
    peer = result["kafka"].get("debezium, tuned")
    for name, figures in result["kafka"].items():
        lines.append(f"  {name:<20} {figures['events_per_second']:>9,.0f} events/s, CPU {figures['cpu_microseconds']:.2f} µs an "
                     f"event, broker's {figures['broker_cpu_microseconds']:.2f} µs, peak {figures['resident_mib']:,.0f} MiB, "
                     f"{figures['stored_mib']:,.0f} MiB in the topics, first event after {figures['start_seconds']:.2f} s")
        if peer and figures is not peer:
            lines.append(f"    ÷ Debezium: {figures['events_per_second'] / peer['events_per_second']:.1f} × the events/s, "
                         f"{peer['cpu_microseconds'] / figures['cpu_microseconds']:.1f} × less CPU an event")
    return lines


def end_of(broker, topics):
    return sum(sum(broker.end_offsets(topic).values()) for topic in topics)


def stored_bytes(broker, topics):
    return sum(file.stat().st_size for topic in topics
               for file in (broker.folder / "data").glob(f"{topic}-[0-9]*/*.log"))


class Ours:
    """Our capture, with its own database and backlog, from the backlog's beginning to its end in each round."""

    def __init__(self, folder, options, broker, settings):
        self.broker = broker
        log = {"at": f"kafka://{broker.address}", **settings}
        # Whoever takes the lease writes all that is remembered in one record: the second run that of the first.
        self.backlog = Backlog(folder, options.rows, options.updates, name=folder.name, settings={"log": log},
                               prime=2 * [("--stages", "capture")])
        self.peers_wanted = options.peers
        self.peer = None

    def make(self, with_peer):
        peer = Peer(self.backlog, self.broker) if with_peer and self.peers_wanted else None
        if peer:
            peer.prime()
            self.peer = peer
        self.backlog.make()
        self.topics = [topic for topic in self.broker.topics()
                       if topic.startswith(self.backlog.pipeline.name + ".") and not topic.startswith(self.backlog.pipeline.name + "._")]
        self.state = f"{self.backlog.pipeline.name}._state"
        self.begin = self._entries()

    def _entries(self):
        """Key and value of the newest record with all that capture remembers of the client, from before the backlog."""
        whole = re.compile(rb"source/bench/[0-9]+/$")
        records = [record for record in self.broker.records(self.state) if record.value and whole.match(record.key)]
        if not records:
            raise RuntimeError(f"{self.state} has no record of all entries")
        return records[-1].value

    def _rewind(self):
        self.backlog.rewind()
        leases = [int(record.key.split(b"/")[2]) for record in self.broker.records(self.state)
                  if record.key.startswith(b"lease/bench/") and record.value]
        self.broker.produce(self.state, [(b"source/bench/%d/" % max(leases), self.begin)])

    def drain(self):
        self._rewind()
        before, stored, broker_cpu = end_of(self.broker, self.topics), stored_bytes(self.broker, self.topics), self.broker.cpu_seconds()
        command = [program(), "run", str(self.backlog.pipeline.file), "--until-caught-up", "--stages", "capture"]
        measured = measuring.measure(command, self.backlog.server, self.backlog.database, self.backlog.pipeline.environment)
        rows = self.backlog.rows
        if "block" not in str(self.backlog.pipeline.content["log"]):
            written = end_of(self.broker, self.topics) - before
            if written < rows:
                raise RuntimeError(f"{written} of {rows} events are in the topics")
        librdkafka = sum(seconds for thread, seconds in measured.cpu_by_thread.items() if thread.startswith("rdk:"))
        return {"events_per_second": rows / measured.seconds, "cpu_microseconds": measured.cpu_seconds * 1e6 / rows,
                "librdkafka_cpu_microseconds": librdkafka * 1e6 / rows,
                "broker_cpu_microseconds": (self.broker.cpu_seconds() - broker_cpu) * 1e6 / rows,
                "resident_mib": measured.resident_bytes_max / 2**20,
                "stored_mib": (stored_bytes(self.broker, self.topics) - stored) / 2**20,
                "start_seconds": self._start()}

    def _start(self):
        """The program's whole life with one event waiting: an upper bound of start to first event."""
        self.backlog.database.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1")
        command = [program(), "run", str(self.backlog.pipeline.file), "--until-caught-up", "--stages", "capture"]
        return measuring.measure(command, environment=self.backlog.pipeline.environment).seconds

    def close(self):
        if self.peer:
            self.peer.close()
        self.backlog.close()


class Peer:
    """The connector on the same database, with the settings that its documentation gives for throughput."""

    def __init__(self, backlog, broker):
        self.backlog = backlog
        self.broker = broker
        self.topics = [f"{PREFIX}.{table}" for table in TABLES]
        backlog.database.execute("CREATE PUBLICATION peer FOR TABLE bench_rows, accounts")
        self.connector = DebeziumConnector(
            broker, backlog.database, PREFIX, tables=TABLES, worker=TUNED_WORKER, options=TUNED_OPTIONS,
            settings={**TUNED, "snapshot.mode": "no_data", "publication.name": "peer", "publication.autocreate.mode": "disabled"})

    def prime(self):
        """Runs it until one event is through and its offset is kept; slot and offset are put back before each round."""
        for topic in self.topics:
            self.broker.create_topic(topic)
        self.connector.start().wait_streaming()
        self.backlog.database.execute("INSERT INTO bench_rows (id) VALUES (0)")
        self.backlog.database.execute("DELETE FROM bench_rows WHERE id = 0")
        wait_for(lambda: end_of(self.broker, self.topics) >= 2, 60, "the connector's first events")
        self.connector.stop()  # writes its offset
        self.offsets = self.connector.offsets_file.read_bytes()
        wait_for(lambda: not self.connector.streams(), 30, "the connector's slot to be free")
        self.backlog.database.execute("SELECT pg_copy_logical_replication_slot(%s, 'peer_saved')", (self.connector.slot,))

    def drain(self):
        database = self.backlog.database
        self.backlog.drop_slot(self.connector.slot)
        database.execute("SELECT pg_copy_logical_replication_slot('peer_saved', %s)", (self.connector.slot,))
        self.connector.offsets_file.write_bytes(self.offsets)
        before, stored, broker_cpu = end_of(self.broker, self.topics), stored_bytes(self.broker, self.topics), self.broker.cpu_seconds()
        rows = self.backlog.rows
        begun = time.monotonic()
        self.connector.launch()
        first, cpu_first = None, 0.0
        while True:
            there = end_of(self.broker, self.topics) - before
            now = time.monotonic()
            if there and first is None:
                first, cpu_first = now, self.connector.cpu_seconds()
            if there >= rows:
                break
            if now - begun > 900 or self.connector.process.poll() is not None:
                raise RuntimeError(f"Debezium wrote {there} of {rows} events: {self.connector.log_tail()}")
            time.sleep(POLL)
        cpu = self.connector.cpu_seconds() - cpu_first
        peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{self.connector.process.pid}/status").read_text())[1])
        self.connector.stop()
        wait_for(lambda: not self.connector.streams(), 30, "the connector's slot to be free")
        return {"events_per_second": rows / (now - first), "cpu_microseconds": cpu * 1e6 / rows,
                "broker_cpu_microseconds": (self.broker.cpu_seconds() - broker_cpu) * 1e6 / rows,
                "resident_mib": peak / 1024, "stored_mib": (stored_bytes(self.broker, self.topics) - stored) / 2**20,
                "start_seconds": first - begun}

    def close(self):
        self.connector.remove()
