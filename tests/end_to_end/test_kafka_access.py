"""Brokers that ask who we are: TLS, users with passwords, rights by topic; and `check --connect`, which looks at topics."""

import json

import pytest

from harness import ExitCode, wait_for
from test_debezium_source import VISITS, client_of, visit

PARTITIONS = 2


@pytest.fixture
def guarded(own_kafka):
    return own_kafka(listeners=("SASL_PLAINTEXT", "SASL_SSL"), authorize=True)


def as_user(broker, listener="SASL_SSL", **more):
    """`log` of a pipeline that comes as the user `client`; the password is in the environment of the program."""
    tls = {"tls": True, "tls_ca": str(broker.certificates.authority)} if listener == "SASL_SSL" else {}
    log = {"at": f"kafka://client@{broker.address_of(listener)}", "password": "${env:BROKER_PASSWORD}",
           "partitions": PARTITIONS, "partitions_per_client": PARTITIONS, **tls, **more}
    return {"log": {key: value for key, value in log.items() if value is not None}}


def test_rights_that_are_missing_hold_up_the_client_alone_until_they_are_given(guarded, shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": acme, "globex": globex}, domains={"orders": {"table": "public.orders", "event": "order"}},
                         settings=as_user(guarded, compression="zstd"),
                         environment={"BROKER_PASSWORD": guarded.password})
    said = []

    def check():
        done = pipeline.command("check", "--connect")
        said.append(done.output + done.errors)
        return done

    check().expect(ExitCode.OK)
    done = pipeline.run_until_caught_up()
    said.append(done.output + done.errors)
    assert done.exit_code not in (ExitCode.OK, ExitCode.INTERNAL)
    assert f"topic {pipeline.name}." in done.errors and "authorization failed" in done.errors
    # Everything but writing what is deleted.
    guarded.allow("Create,Describe,DescribeConfigs,Read", "topic", f"{pipeline.name}.*")
    for name in ("order.created", "order.updated", "order.snapshot", "order.absent", "_state"):
        guarded.allow("Write", "topic", f"{pipeline.name}.{name}")
    for database in (acme, globex):
        database.execute("INSERT INTO orders (id, user_id, status, total_cents, note) "
                         "SELECT g, 1, 'old', 1, repeat('x', 300) FROM generate_series(1, 3000) g")
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    acme.execute("DELETE FROM orders WHERE id = 1")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (10000, 1, 'behind it', 1)")
    deleted = f"{pipeline.name}.order.deleted"
    pipeline.wait_status(lambda status: any(deleted in warning and "ACL" in warning
                                            for warning in status["clients"][0]["warnings"]), 60, "acme's warning")
    assert not pipeline.client_status("globex")["warnings"]
    globex.execute("UPDATE orders SET status = 'flows' WHERE id = 2")
    wait_for(lambda: pipeline.value("globex", "SELECT status FROM orders WHERE id = 2") == "flows", 30, "globex's row")
    guarded.allow("Write", "topic", deleted)
    pipeline.wait_queryable(limit=60)
    pipeline.verify_clean()
    check().expect(ExitCode.OK)
    # They are compressed on the broker's disk.
    topic = f"{pipeline.name}.order.snapshot"
    stored = sum(file.stat().st_size for file in (guarded.folder / "data").glob(f"{topic}-*/*.log"))
    assert 0 < stored < sum(len(record.value) for record in guarded.records(topic)) / 4
    said.append(pipeline.command("status", "--json").output)
    pipeline.terminate()
    assert guarded.password not in "".join(said) + pipeline.log_text()
    assert [str(path) for path in pipeline.folder.rglob("*")
            if path.is_file() and guarded.password.encode() in path.read_bytes()] == []


def test_who_may_not_come_in_is_told_why(guarded, shops, pipelines):
    (acme,) = shops("acme")

    def check(password=None, **settings):
        pipeline = pipelines({"acme": acme}, environment={"BROKER_PASSWORD": password or guarded.password},
                             settings=as_user(guarded, **settings))
        done = pipeline.command("check", "--connect")
        assert guarded.password not in done.output + done.errors
        return done

    check(listener="SASL_PLAINTEXT").expect(ExitCode.OK)
    wrong = check(password="canary-of-another")
    assert wrong.exit_code == ExitCode.UNAVAILABLE
    assert "log: kafka: the brokers do not let us in" in wrong.errors and "canary" not in wrong.errors
    assert "certificate verify failed" in check(tls_ca=None).errors
    assert "ssl.ca.location" in check(tls_ca="/nowhere.pem").errors
    assert "cannot do SCRAM with brokers from 4.0 on" in check(sasl="SCRAM-SHA-512").errors


def test_a_connectors_topics_are_read_as_a_user_over_tls(guarded, shops, pipelines):
    (acme,) = shops("acme")
    topic = "hand.public.visits"
    guarded.create_topic(topic)
    guarded.produce(topic, [tuple(json.dumps(part).encode() for part in visit("hand", number, 200 + number))
                            for number in range(20)])

    def of_user(password, authority):
        client = client_of(guarded, "hand", acme, security__protocol="sasl_ssl", sasl__mechanism="PLAIN",
                           sasl__username="client", ssl__ca__location=authority)
        client["source"] = client["source"].replace(guarded.address, guarded.address_of("SASL_SSL"))
        client["password"] = "${env:BROKER_PASSWORD}"
        return pipelines({"acme": client}, domains=VISITS,
                         environment={"OF_THE_DATABASE": acme.server.password, "BROKER_PASSWORD": password})

    authority = str(guarded.certificates.authority)
    for password, trusts, reason in (("canary-of-another", authority, "Authentication failed"),
                                     (guarded.password, "/etc/ssl/certs/ca-certificates.crt", "certificate verify failed")):
        refused = of_user(password, trusts).start()
        refused.wait_status(lambda status, reason=reason: reason in str(status["clients"][0]), 60, reason)
        refused.terminate()
        assert password not in refused.log_text()

    pipeline = of_user(guarded.password, authority).start()
    pipeline.wait_status(lambda status: "may not see it" in str(status["clients"][0]), 60, "that nothing is to be seen")
    guarded.allow("Describe,Read", "topic", topic)
    wait_for(lambda: pipeline.client_status("acme")["captured_events"] == 20, 60, "what the user may read by now")
    pipeline.wait_queryable()
    assert pipeline.count("acme", "visits") == 20
    assert guarded.password not in pipeline.log_text() + pipeline.command("status", "--json").output


def test_topics_of_another_shape_are_all_named(kafka, shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, settings={"log": {"at": f"kafka://{kafka.address}", "partitions": PARTITIONS,
                                                           "partitions_per_client": PARTITIONS}})
    kafka.create_topic(f"{pipeline.name}.order.created", PARTITIONS + 1, retention_ms=1000)
    kafka.create_topic(f"{pipeline.name}.order.deleted", PARTITIONS, cleanup_policy="compact")
    done = pipeline.command("check", "--connect")
    assert done.exit_code == ExitCode.UNAVAILABLE
    for topic, what in (("order.created", f"partitions {PARTITIONS + 1}"), ("order.created", "retention.ms 1000"),
                        ("order.deleted", "cleanup.policy compact")):
        assert f"topic {pipeline.name}.{topic} exists with {what}, and the pipeline file wants" in done.errors
    assert f"{pipeline.name}.order.updated" not in kafka.topics(), "check made topics"
