"""A Kafka broker of our own, and what a test asks it: topics, records with their offsets.

    broker = KafkaBroker().start()
    broker.create_topic("shop.orders", partitions=4)
    Pipeline(…, log=f"kafka://{broker.address}")
    for record in broker.records("shop.orders"):           # all that is there now, by partition and offset
        record.partition, record.offset, record.key, record.value, record.headers
    broker.kill(); broker.start()                          # a crash and a restart on the same data and port
"""

import contextlib
import dataclasses
import json
import subprocess
import tempfile
import time

import confluent_kafka
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

from .certificates import Certificates
from .java import JavaServer
from .postgres import free_port
from .proxy import TcpProxy
from .waiting import wait_for

REQUEST_LIMIT = 30

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": 1,
    "auto.create.topics.enable": "false",        # whoever writes to a topic that is not there shall hear of it
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "file.delete.delay.ms": 100,
    "broker.session.timeout.ms": 2000,           # a killed broker's successor waits until its registration ends
    "broker.heartbeat.interval.ms": 250,
    "num.network.threads": 2,
    "num.io.threads": 2,
    "log.cleaner.dedupe.buffer.size": 16 << 20,
    "num.recovery.threads.per.data.dir": 1,
}


@dataclasses.dataclass(frozen=True)
class Record:
    """As the broker keeps it: bytes or None, headers as (name, bytes) in their order, timestamp in milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple
    timestamp: int


NO_LEADER_YET = (confluent_kafka.KafkaError.NOT_LEADER_FOR_PARTITION, confluent_kafka.KafkaError.LEADER_NOT_AVAILABLE)


class KafkaBroker(JavaServer):
    """One node (KRaft) on free loopback ports. Starts in 4 s, restarts in 3 s, after kill() in 5 s; 220 MB.

    settings    more of server.properties: {"message.max.bytes": 1000}
    listeners   of "SSL", "SASL_PLAINTEXT", "SASL_SSL" beside the plain one: broker.address_of("SASL_SSL").
                User `client`, password `broker.password`, by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; the certificate is
                signed by `broker.certificates.authority` and names localhost and 127.0.0.1. librdkafka before 2.6.1,
                and so Debian 12's, cannot do SCRAM with brokers from 4.0 on: it repeats the nonce, which they now
                refuse as invalid credentials. Java's client can.
    proxied     True: a listener behind a TcpProxy: broker.proxy.cut(), and broker.address_of("PROXIED"). A client that
                starts there stays there, since that listener advertises the proxy's port.
    authorize   True: who is not a super user is denied what broker.allow() has not allowed. The plain listener's users
                are super users, `client` is not.
    """

    title = "Kafka"
    jars = "kafka"

    def __init__(self, settings=None, listeners=(), proxied=False, authorize=False, options=None):
        super().__init__(options)
        self.port = free_port()
        self.password = "canary-broker-password"  # never to be seen in any output
        self.ports = {"PLAINTEXT": self.port, "CONTROLLER": free_port(), **{name: free_port() for name in listeners}}
        self.certificates = None
        if any("SSL" in name for name in listeners):
            self.certificates = Certificates(self.folder / "certificates")
        self.proxy = None
        if proxied:
            self.ports["PROXIED"] = free_port()
            self.proxy = TcpProxy(self.ports["PROXIED"]).start()
        self.settings = {**SETTINGS, **self._listener_settings(), "log.dirs": self.folder / "data", **(settings or {})}
        if authorize:
            self.settings.update({"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                                  "super.users": "User:ANONYMOUS"})
        self._admin = None

    def _listener_settings(self):
        advertised = {**self.ports, **({"PROXIED": self.proxy.port} if self.proxy else {})}
        found = {
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in advertised.items()),
            "listener.security.protocol.map": ",".join(
                f"{name}:{name if name.startswith(('SSL', 'SASL')) else 'PLAINTEXT'}" for name in self.ports),
            "controller.quorum.voters": f"1@127.0.0.1:{self.ports['CONTROLLER']}",
        }
        for name in self.ports:
            prefix = f"listener.name.{name.lower()}."
            if "SSL" in name:
                found[prefix + "ssl.keystore.type"] = "PEM"
                found[prefix + "ssl.keystore.location"] = self.certificates.server_pem
            if name.startswith("SASL"):
                found["sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
                found[prefix + "plain.sasl.jaas.config"] = (
                    "org.apache.kafka.common.security.plain.PlainLoginModule required "
                    f'user_client="{self.password}";')
                for mechanism in ("scram-sha-256", "scram-sha-512"):
                    found[prefix + mechanism + ".sasl.jaas.config"] = (
                        "org.apache.kafka.common.security.scram.ScramLoginModule required;")
        return found

    @property
    def address(self):
        """What clients call bootstrap servers, of the plain listener."""
        return self.address_of("PLAINTEXT")

    def address_of(self, listener):
        port = self.proxy.port if listener == "PROXIED" else self.ports[listener]
        return f"127.0.0.1:{port}"

    def command(self):
        file = self.folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(file)
        return ["kafka.Kafka", str(file)]

    def _format(self, file):
        command = ["kafka.tools.StorageTool", "format", "-t", "dHJpYnV0YXJ5LXRlc3RzLQ", "-c", str(file)]
        if any(name.startswith("SASL") for name in self.ports):
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                command += ["--add-scram", f"{mechanism}=[name=client,password={self.password}]"]
        done = subprocess.run(self.java_command(*command), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be formatted: {done.stdout}{done.stderr}")

    def answers(self):
        try:
            return self.admin.list_topics(timeout=1).brokers
        except confluent_kafka.KafkaException:
            return False

    @property
    def admin(self):
        """A client for what the methods below do not do."""
        if self._admin is None:
            self._admin = AdminClient(self.client_settings())
        return self._admin

    def client_settings(self, **more):
        """For clients of confluent_kafka: client_settings(group_id="g")."""
        return {"bootstrap.servers": self.address, "log_level": 0, "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 200, "topic.metadata.refresh.fast.interval.ms": 50,
                **{name.replace("_", "."): value for name, value in more.items()}}

    def remove(self):
        if self.proxy:
            self.proxy.stop()
        self._admin = None
        super().remove()

    # Topics

    def create_topic(self, name, partitions=1, **settings):
        """create_topic("orders", 4, cleanup_policy="compact"); returns when the topic can be written to."""
        config = {key.replace("_", "."): str(value) for key, value in settings.items()}
        _finish(self.admin.create_topics([NewTopic(name, partitions, 1, config=config)]))
        wait_for(lambda: self.partitions(name) == partitions, REQUEST_LIMIT, f"topic {name}")

    def delete_topic(self, name):
        _finish(self.admin.delete_topics([name]))
        wait_for(lambda: self.partitions(name) == 0, REQUEST_LIMIT, f"topic {name} to be gone")

    def delete_records(self, topic, partition, before):
        """Removes what lies before the offset, as retention does."""
        offsets = {"version": 1, "partitions": [{"topic": topic, "partition": partition, "offset": before}]}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(offsets, file)
            file.flush()
            command = self.java_command("org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", self.address,
                                        "--offset-json-file", file.name)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "low_watermark" not in done.stdout:
            raise RuntimeError(f"the records were not deleted: {done.stdout}{done.stderr}")

    def add_partitions(self, name, partitions):
        _finish(self.admin.create_partitions([NewPartitions(name, partitions)]))
        wait_for(lambda: self.partitions(name) == partitions, REQUEST_LIMIT, f"{partitions} partitions of {name}")

    def topics(self):
        """name → number of partitions; without the broker's own and others that begin with two underscores."""
        return {name: number for name, number in self._all_topics().items() if not name.startswith("__")}

    def partitions(self, name):
        """0 for a topic that is not there."""
        return self._all_topics().get(name, 0)

    def _all_topics(self):
        found = self.admin.list_topics(timeout=REQUEST_LIMIT).topics
        return {name: len(topic.partitions) for name, topic in found.items()}

    def topic_settings(self, name):
        """What the topic's settings are in effect, as text."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        found = self.admin.describe_configs([resource])[resource].result(REQUEST_LIMIT)
        return {key: entry.value for key, entry in found.items()}

    def change_topic(self, name, **settings):
        """Sets these, and leaves the retention as it is; everything else is the broker's default from then on."""
        config = {"retention.ms": self.topic_settings(name)["retention.ms"],
                  **{key.replace("_", "."): str(value) for key, value in settings.items()}}
        _finish(self.admin.alter_configs([ConfigResource(ConfigResource.Type.TOPIC, name, set_config=config)]))

    # Records

    @contextlib.contextmanager
    def consumer(self, **settings):
        consumer = confluent_kafka.Consumer(self.client_settings(
            **{"group_id": "tests", "enable_auto_commit": False, "enable_partition_eof": True,
               "fetch_wait_max_ms": 20, **settings}))
        try:
            yield consumer
        finally:
            consumer.close()

    def end_offsets(self, topic):
        """partition → offset that its next record gets."""
        with self.consumer() as consumer:
            return {number: self._watermarks(consumer, topic, number)[1] for number in range(self.partitions(topic))}

    @staticmethod
    def _watermarks(consumer, topic, partition):
        """(first offset, offset that the next record gets); a broker that has just started may not lead the partition yet."""
        where = confluent_kafka.TopicPartition(topic, partition)
        end = time.monotonic() + REQUEST_LIMIT
        while True:
            try:
                return consumer.get_watermark_offsets(where, timeout=REQUEST_LIMIT)
            except confluent_kafka.KafkaException as failed:
                if failed.args[0].code() not in NO_LEADER_YET or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def records(self, topic, start=None, isolation="read_committed"):
        """All records that are there now, partition by partition in the order of their offsets.

        start       partition → first offset wanted: what end_offsets() gave earlier reads on from there
        isolation   "read_uncommitted" shows those of open and aborted transactions too
        """
        partitions = range(self.partitions(topic))
        with self.consumer(isolation_level=isolation) as consumer:
            # Asked first: a consumer that begins at a number, and knows the leader, begins half a second earlier.
            ends = {number: self._watermarks(consumer, topic, number) for number in partitions}
            found = {number: [] for number, (low, high) in ends.items() if low < high}
            consumer.assign([confluent_kafka.TopicPartition(topic, number, (start or {}).get(number, ends[number][0]))
                             for number in found])
            self._read_to_the_end(consumer, found)
        return [record for number in found for record in found[number]]

    def _read_to_the_end(self, consumer, found):
        ended = set()
        end = time.monotonic() + REQUEST_LIMIT * 4
        while len(ended) < len(found):
            if time.monotonic() > end:
                raise RuntimeError(f"reading topics took too long; {ended} of {sorted(found)} done: {self.log_tail()}")
            for message in consumer.consume(10000, timeout=0.2):
                error = message.error()
                if error is None:
                    found[message.partition()].append(_record(message))
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:  # pylint: disable=protected-access
                    ended.add(message.partition())
                elif not error.retriable():
                    raise confluent_kafka.KafkaException(error)

    def produce(self, topic, records, **settings):
        """Writes (key, value) or (key, value, headers) in order, idempotently; returns when all are acknowledged."""
        producer = confluent_kafka.Producer(self.client_settings(enable_idempotence=True, linger_ms=5, **settings))
        failures = []
        for key, value, *headers in records:
            produce_one = dict(key=key, value=value, headers=headers[0] if headers else None,
                               on_delivery=lambda error, _: failures.append(error) if error else None)
            while True:
                try:
                    producer.produce(topic, **produce_one)
                    break
                except BufferError:
                    producer.poll(0.1)
        left = producer.flush(REQUEST_LIMIT)
        if left or failures:
            raise RuntimeError(f"{left} records are not acknowledged, {len(failures)} failed: {failures[:1]}")

    def allow(self, operation, kind, name, user="client"):
        """With authorize: allow("Write", "topic", "shop.orders"). Names that end in * are prefixes; several operations are
        separated by commas."""
        prefix = ["--resource-pattern-type", "prefixed"] if name.endswith("*") and name != "*" else []
        resource = ["--cluster"] if kind == "cluster" else [f"--{kind}", name if name == "*" else name.rstrip("*")]
        command = ["org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.address, "--add",
                   "--allow-principal", f"User:{user}", *resource, *prefix]
        for one in operation.split(","):
            command += ["--operation", one]
        done = subprocess.run(self.java_command(*command), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the rule was not made: {done.stdout}{done.stderr}")


def _record(message):
    return Record(message.topic(), message.partition(), message.offset(), message.key(), message.value(),
                  tuple(message.headers() or ()), message.timestamp()[1])


def _finish(futures):
    for future in futures.values():
        future.result(REQUEST_LIMIT)
