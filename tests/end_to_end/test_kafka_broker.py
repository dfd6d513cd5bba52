"""The harness's Kafka broker: what a test of the pipeline takes for granted when it blames the pipeline."""

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient


def test_records_come_back_as_they_were_written(kafka, unique_name):
    topic = unique_name("orders")
    kafka.create_topic(topic, 3, cleanup_policy="compact")
    assert kafka.topic_settings(topic)["cleanup.policy"] == "compact"
    kafka.produce(topic, [(b"key-%d" % number, b"%d" % number, [("event", b"created")]) for number in range(500)])
    kafka.produce(topic, [(b"key-0", None)])
    records = kafka.records(topic)
    assert sorted(int(record.value) for record in records if record.value is not None) == list(range(500))
    assert [record.key for record in records if record.value is None] == [b"key-0"]
    assert {record.headers for record in records if record.value} == {(("event", b"created"),)}
    ends = kafka.end_offsets(topic)
    assert sum(ends.values()) == 501
    for number, end in ends.items():
        assert [record.offset for record in records if record.partition == number] == list(range(end))
    kafka.produce(topic, [(b"key-1", b"later")])
    assert [record.value for record in kafka.records(topic, start=ends)] == [b"later"]
    kafka.add_partitions(topic, 5)
    assert kafka.topics()[topic] == 5
    kafka.delete_topic(topic)
    assert topic not in kafka.topics()


def test_acknowledged_records_outlive_a_kill(kafka, unique_name):
    topic = unique_name("orders")
    kafka.create_topic(topic)
    kafka.produce(topic, [(None, b"%d" % number) for number in range(100)])
    address = kafka.address
    kafka.kill()
    kafka.start()
    assert kafka.address == address
    assert [record.value for record in kafka.records(topic)] == [b"%d" % number for number in range(100)]


def ask(broker, listener, **settings):
    """The topics that a client sees through a listener."""
    client = AdminClient({"bootstrap.servers": broker.address_of(listener), "log_level": 0,
                          **{name.replace("_", "."): value for name, value in settings.items()}})
    return set(client.list_topics(timeout=10).topics)


def test_listeners_with_passwords_certificates_and_a_proxy(own_kafka):
    broker = own_kafka(listeners=("SASL_PLAINTEXT", "SASL_SSL", "SSL"), proxied=True, authorize=True)
    broker.create_topic("seen")
    broker.create_topic("hidden")
    broker.allow("Read", "topic", "seen")
    password = {"sasl_mechanism": "PLAIN", "sasl_username": "client", "sasl_password": broker.password}
    trust = {"ssl_ca_location": str(broker.certificates.authority)}
    assert ask(broker, "SASL_PLAINTEXT", security_protocol="sasl_plaintext", **password) == {"seen"}
    assert ask(broker, "SASL_SSL", security_protocol="sasl_ssl", **password, **trust) == {"seen"}
    assert ask(broker, "SSL", security_protocol="ssl", **trust) == {"seen", "hidden"}
    with pytest.raises(confluent_kafka.KafkaException):
        AdminClient({"bootstrap.servers": broker.address_of("SSL"), "security.protocol": "ssl",
                     "log_level": 0}).list_topics(timeout=0.5)
    assert ask(broker, "PROXIED") == {"seen", "hidden"}
    assert broker.proxy.bytes_forwarded > 0
