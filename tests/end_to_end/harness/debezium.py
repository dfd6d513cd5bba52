"""Debezium's PostgreSQL connector of our own, in Kafka Connect's standalone worker.

    connector = DebeziumConnector(broker, shop, prefix="acme", tables=["public.orders"]).start()
    wait_for(lambda: broker.records("acme.public.orders"), 30, "the first record")
    connector.kill(); connector.start()                    # goes on from its offsets file and its slot
    connector.remove(); connector.drop_slot()
"""

import json
import re
import urllib.request

from .java import JavaServer
from .postgres import free_port
from .waiting import wait_for

WORKER = {
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "offset.flush.interval.ms": 1000,            # Connect's default is 60,000: what a kill repeats
    "connector.client.config.override.policy": "All",
    
}

# What Debezium needs to keep up with a fast source: the settings it is measured with, beside worker=TUNED_WORKER and
# options=TUNED_OPTIONS.
TUNED = {
    "max.batch.size": 20480,
    "max.queue.size": 81920,
    "poll.interval.ms": 50,
    "extended.headers.enabled": "false",
    "producer.override.linger.ms": 20,
    "producer.override.batch.size": 524288,
    "producer.override.compression.type": "lz4",
    "producer.override.buffer.memory": 134217728,
}
TUNED_WORKER = {"offset.flush.interval.ms": 60000}
TUNED_OPTIONS = ("-Xms256m", "-Xmx1g")


class ConnectWorker(JavaServer):
    """Kafka Connect's standalone worker with one connector, whose settings are `connector`. Starts in 6 s, 450 MB.

    schemas   whether every key and value carries its schema beside its payload (schemas.enable of the JSON converter)
    worker    more of the worker's settings
    """

    title = "Kafka Connect"
    jars = "connect"

    def __init__(self, broker, name, connector, schemas=False, worker=None, options=None):
        super().__init__(options)
        self.broker = broker
        self.name = name
        self.port = free_port()
        self.offsets_file = self.folder / "offsets.dat"
        self.connector = {"name": name, "tasks.max": 1, **connector}
        enable = "true" if schemas else "false"
        self.worker = {**WORKER, "bootstrap.servers": broker.address, "listeners": f"http://127.0.0.1:{self.port}",
                       "key.converter.schemas.enable": enable, "value.converter.schemas.enable": enable,
                       "offset.storage.file.filename": self.offsets_file, **(worker or {})}

    def command(self):
        for file, settings in (("worker.properties", self.worker), ("connector.properties", self.connector)):
            (self.folder / file).write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return ["org.apache.kafka.connect.cli.ConnectStandalone", "worker.properties", "connector.properties"]

    def offset(self):
        """What the connector has stored of where it is, as it wrote it: {"lsn": …}. None before that."""
        if not self.offsets_file.exists():
            return None
        found = re.findall(rb'\{"[^{}\x00]*"lsn"[^{}\x00]*\}', self.offsets_file.read_bytes())
        return json.loads(found[-1]) if found else None

    def status(self):
        """What Connect says of the connector and its task, or None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/connectors/{self.name}/status",
                                        timeout=5) as reply:
                return json.load(reply)
        except OSError:
            return None

    def answers(self):
        """Whether the task runs; raises with its error when it failed."""
        status = self.status()
        for task in status["tasks"] if status else ():
            if task["state"] == "FAILED":
                raise RuntimeError(f"the task of {self.name} failed: {task.get('trace', '')[:2000]}")
        return bool(status and status["tasks"] and all(task["state"] == "RUNNING" for task in status["tasks"]))


class DebeziumConnector(ConnectWorker):
    """The PostgreSQL connector on pgoutput, of one database; start() returns when it streams or takes its snapshot.

    prefix      topics are PREFIX.SCHEMA.TABLE
    tables      ["public.orders"]: what it captures; None for all
    schemas     JSON with a schema beside every payload
    settings    more of the connector's: {"decimal.handling.mode": "string", "snapshot.mode": "no_data", **TUNED}

    Its publication is made by itself, for all tables (settings may say otherwise). Topics are made by the connector.
    """

    title = "Debezium"

    def __init__(self, broker, database, prefix, tables=None, schemas=False, settings=None, worker=None,
                 options=None):  # pylint: disable=too-many-arguments
        self.database = database
        self.slot = f"debezium_{prefix}".lower().replace("-", "_")
        connector = {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1",
            "database.port": database.server.port,
            "database.user": database.server.user,
            "database.password": "trusted",
            "database.dbname": database.name,
            "topic.prefix": prefix,
            "slot.name": self.slot,
            "publication.name": self.slot,
            "topic.creation.default.replication.factor": 1,
            "topic.creation.default.partitions": 1,
            **({"table.include.list": ",".join(tables)} if tables else {}),
            **(settings or {}),
        }
        super().__init__(broker, prefix, connector, schemas, worker, options)

    def wait_streaming(self):
        """Returns when the snapshot is over and the connector reads its slot."""
        wait_for(self.streams, self.start_limit, f"{self.name} to stream", seen=self.log_tail)
        return self

    def streams(self):
        return bool(self.database.slots().get(self.slot, (None,))[0])

    def drop_slot(self):
        """Removes slot and publication once the connector is gone."""
        wait_for(lambda: not self.streams(), 30, f"slot {self.slot} to be free")
        self.database.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                              "WHERE slot_name = %s", (self.slot,))
        self.database.execute(f"DROP PUBLICATION IF EXISTS {self.slot}")


class UpsertSink(ConnectWorker):
    """Debezium's JDBC sink: writes topics' newest rows into tables of a PostgreSQL, by their keys; deletes where it
    is told.

    Starts in 7 s, 500 MB. A topic's records carry their schemas (JSON with schemas), or the sink refuses them. Tables
    are made by the sink, in schema `public`, named by the records' `source.table`. Tombstones have no such name: it
    warns and leaves them out, which loses nothing behind a delete. An array becomes an array, jsonb becomes json, a
    numeric without a scale becomes double precision, rounded.

    topics     names, or with regular=True one regular expression
    settings   more of the connector's: {"collection.name.format": "copy_${source.table}"}
    """

    title = "Debezium's JDBC sink"
    jars = "jdbc-sink"

    def __init__(self, broker, database, topics, regular=False, name="upsert-sink", settings=None,
                 options=None):  # pylint: disable=too-many-arguments
        connector = {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            ("topics.regex" if regular else "topics"): topics if regular else ",".join(topics),
            "connection.url": f"jdbc:postgresql://127.0.0.1:{database.server.port}/{database.name}",
            "connection.username": database.server.user,
            "connection.password": "trusted",
            "insert.mode": "upsert",
            "delete.enabled": "true",
            "primary.key.mode": "record_key",
            "schema.evolution": "basic",
            "collection.name.format": "${source.table}",
            "consumer.override.auto.offset.reset": "earliest",
            "consumer.override.metadata.max.age.ms": 1000,
            **(settings or {}),
        }
        super().__init__(broker, name, connector, True, None, options)
