#!/usr/bin/env python3
"""Records what the real connector writes: tests/data/debezium/*.jsonl, one message a line.

    ./record.py              all files; takes some minutes, and PostgreSQL, Kafka and the connector are started for it
    ./record.py changes      those whose name has it

A line: topic, partition, offset, key and value (the record's exact text, or null), headers, timestamp. What each file
shows is in README.md beside this.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "end_to_end"))

from harness import DebeziumConnector, KafkaBroker, Postgres, wait_for  # noqa: E402

# Every value of every mode at least once; modes act on different types, so their product shows nothing more.
MODES = {
    "1": ("precise", "adaptive", "bytes", "json", "numeric"),
    "2": ("double", "adaptive_time_microseconds", "base64", "map", "string"),
    "3": ("string", "connect", "base64-url-safe", "json", "numeric"),
    "4": ("precise", "isostring", "hex", "map", "string"),
    "5": ("double", "microseconds", "bytes", "json", "numeric"),
    "6": ("string", "nanoseconds", "base64", "json", "numeric"),
}
NAMES = ("decimal.handling.mode", "time.precision.mode", "binary.handling.mode", "hstore.handling.mode",
         "interval.handling.mode")


def text(data):
    return None if data is None else data.decode()


def is_repeated(name, record):
    """Whether it is left out: with schemas a message of every_type has 20 kB, and two of them show all that is new."""
    return name.startswith("types_") and name.endswith("_schemas") and record.topic.endswith("every_type") and \
        json.loads(record.key)["payload"]["id"] not in (0, 103)


def write(name, records):
    records = [record for record in records if not is_repeated(name, record)]
    with (HERE / f"{name}.jsonl").open("w") as file:
        for record in records:
            file.write(json.dumps({
                "topic": record.topic, "partition": record.partition, "offset": record.offset, "key": text(record.key),
                "value": text(record.value), "headers": [[key, text(value)] for key, value in record.headers],
                "timestamp": record.timestamp}, ensure_ascii=False) + "\n")


class Recorder:
    """One database for every recording, and its messages from all topics in the order they were written."""

    def __init__(self, server, broker, name):
        self.broker = broker
        self.database = server.create_database(name)
        self.database.execute((HERE / "tables.sql").read_text())

    def record(self, name, steps, tables, schemas=False, settings=None, before=()):
        """Runs `before`, starts the connector, runs `steps` when it streams, and writes what came of it."""
        prefix = f"r{name.replace('_', '-')}"
        for step in before:
            self.database.execute(step)
        connector = DebeziumConnector(self.broker, self.database, prefix, [*tables, "public.ending"], schemas, settings)
        try:
            connector.start()
            connector.wait_streaming()
            for step in steps:
                self.database.execute(step)
            self.wait_quiet(prefix, connector)
        finally:
            log = connector.log_file.read_text()
            connector.remove()
        records = self.records(prefix)
        write(name, records)
        problems = [line[:300] for line in log.splitlines() if " ERROR " in line or "Exception" in line]
        print(f"{name}: {len(records)} messages", *problems[:6], sep="\n   ")
        connector.drop_slot()

    def records(self, prefix):
        found = []
        for topic in self.broker.topics():
            if topic.startswith(f"{prefix}.") and not topic.endswith(".ending"):
                found += self.broker.records(topic)
        found += self.broker.records(f"__debezium-heartbeat.{prefix}")[:2]
        return sorted(found, key=lambda record: (record.timestamp, record.topic, record.offset))

    def wait_quiet(self, prefix, connector):
        """Until a last row, of a table of its own, has come through: nothing before it is on its way any more."""
        self.database.execute("INSERT INTO ending VALUES (1)")
        topic = f"{prefix}.public.ending"
        wait_for(lambda: self.broker.partitions(topic) and self.broker.records(topic) or
                 " ERROR " in connector.log_file.read_text(), 60,
                 f"{prefix} to have read everything", seen=connector.log_tail)


CHANGES = [
    "INSERT INTO items VALUES (1, 'a', 'one', 1.50, NULL), (2, 'b', 'two', NULL, 'short')",
    "UPDATE items SET name = 'uno' WHERE id = 1",
    "INSERT INTO items SELECT 3, 'c', 'long', 3, string_agg(md5(n::text), '') FROM generate_series(1, 400) n",
    "UPDATE items SET name = 'toast unchanged' WHERE id = 3",
    "UPDATE items SET id = 4 WHERE id = 3",
    "BEGIN; UPDATE items SET amount = 2 WHERE id = 2; UPDATE items SET amount = 3 WHERE id = 2; "
    "DELETE FROM items WHERE id = 1; INSERT INTO items VALUES (1, 'a', 'again', 7, NULL); COMMIT",
    "DELETE FROM items WHERE id = 2",
    "INSERT INTO full_items VALUES (1, 'a', 'one', 1.50, NULL)",
    "INSERT INTO full_items SELECT 3, 'c', 'long', 3, string_agg(md5(n::text), '') FROM generate_series(1, 400) n",
    "UPDATE full_items SET name = 'uno' WHERE id = 1",
    "UPDATE full_items SET name = 'toast unchanged' WHERE id = 3",
    "UPDATE full_items SET part = 'z' WHERE id = 1",
    "DELETE FROM full_items WHERE id = 1",
    "INSERT INTO keyless VALUES (1, 'x'), (1, 'x')",
    "UPDATE keyless SET name = 'y'",
    "DELETE FROM keyless",
    "INSERT INTO parent VALUES (1, 'north')",
    "UPDATE parent SET region = 'south'",
    "ALTER TABLE items ADD COLUMN added int DEFAULT 5",
    "INSERT INTO items (id, part) VALUES (5, 'after a column was added')",
    "ALTER TABLE items DROP COLUMN amount",
    "INSERT INTO items (id, part) VALUES (6, 'after a column was dropped')",
    "SELECT pg_logical_emit_message(true, 'tributary', 'hello')",
    "SELECT pg_logical_emit_message(false, 'tributary', 'outside of transactions')",
    "TRUNCATE full_items",
    "TRUNCATE items, keyless",
]


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    server = Postgres()
    broker = KafkaBroker()
    try:
        server.start()
        broker.start()
        for number, values in MODES.items():
            for schemas in (False, True):
                name = f"types_{number}" + ("_schemas" if schemas else "")
                if wanted not in name:
                    continue
                recorder = Recorder(server, broker, name)
                settings = dict(zip(NAMES, values))
                if number == "4":
                    settings["include.unknown.datatypes"] = "true"
                recorder.record(name, ["SELECT fill(100), fill_beyond(100)"],
                                ["public.every_type", "public.beyond"], schemas, settings,
                                ["SELECT fill(0), fill_beyond(0)"])
        for name, schemas, settings in [
                ("changes", False, {}), ("changes_schemas", True, {}),
                ("changes_all", False, {"skipped.operations": "none", "provide.transaction.metadata": "true",
                                        "heartbeat.interval.ms": 500, "extended.headers.enabled": "false"}),
                ("changes_plain", False, {"tombstones.on.delete": "false", "unavailable.value.placeholder": "absent",
                                          "publish.via.partition.root": "true"})]:
            if wanted in name:
                Recorder(server, broker, name).record(
                    name, CHANGES, ["public.items", "public.full_items", "public.keyless", "public.parent.*"],
                    schemas, settings, ["INSERT INTO items VALUES (0, 's', 'snapshot', 0.05, NULL), "
                                        "(9, 's', 'last of the snapshot', 0.05, NULL)"])
    finally:
        broker.remove()
        server.remove()


if __name__ == "__main__":
    main()
