"""What stands beside or before a source: a read replica, a server that was promoted, a connection pooler."""

import pytest

from harness import ExitCode, Workload, create_shop
from harness.pooler import Pooler
from harness.standby import Standby


@pytest.fixture
def followed(own_server):
    """A primary with one shop, and a standby that follows it."""
    primary = own_server()
    shop = create_shop(primary, "shop")
    standby = Standby(primary).start()
    yield primary, shop, standby
    standby.remove()
    shop.close()


def test_verify_reads_the_replica_that_it_is_given(followed, pipelines):
    _, shop, standby = followed
    client = {"database": shop, "verify_source": standby.database("shop").url()}
    writer = Workload(shop, seed=61).seed_rows()
    pipeline = pipelines({"acme": client}).start_and_wait()
    writer.start(rate=100)
    try:
        pipeline.verify_clean()  # the replica follows, and so does the pipeline
    finally:
        writer.close()
    standby.wait_for(shop.head())
    pipeline.verify_clean()
    shop.execute("INSERT INTO users (id, email) VALUES (-5, 'not there yet')")
    pipeline.wait_queryable()
    standby.stop()
    done = pipeline.verify()
    assert done.exit_code == ExitCode.UNAVAILABLE and "acme" in done.output + done.errors  # it did not ask the primary


def test_a_standby_is_not_captured_from_and_what_to_do_is_told(followed, pipelines):
    _, shop, standby = followed
    pipeline = pipelines({"acme": {"database": shop, "source": standby.database("shop").url()}}).start()
    entry = pipeline.wait_status(lambda s: next((c for c in s["clients"] if c["reason"]), None), 30, "a reason")
    assert "standby" in entry["reason"] and "primary" in entry["remedy"], entry
    assert standby.database("shop").slots() == {}
    standby.promote()  # as the remedy says
    pipeline.wait_state("streaming", limit=60)
    standby.database("shop").execute("INSERT INTO users (id, email) VALUES (1, 'in the new primary')")
    pipeline.verify_clean()
    assert pipeline.count("acme", "users") == 1


def test_a_promoted_standby_is_not_resumed_without_its_slot(followed, pipelines):
    primary, shop, standby = followed
    pipeline = pipelines({"acme": shop}).start_and_wait()
    shop.execute("INSERT INTO users (id, email) SELECT g, 'before' FROM generate_series(1, 100) g")
    pipeline.wait_queryable()
    standby.wait_for(shop.head())
    shop.execute("INSERT INTO users (id, email) VALUES (1000, 'on both')")
    standby.wait_for(shop.head())
    pipeline.wait_queryable()
    pipeline.terminate()
    primary.stop()
    standby.promote()
    standby.stop()
    standby.port = primary.port  # the same address, as after a failover
    standby.start()
    there = standby.database("shop")
    there.execute("DELETE FROM users WHERE id <= 40")
    pipeline.start()
    entry = pipeline.wait_state("stopped") and pipeline.client_status("acme")
    assert "slot" in entry["reason"] or "timeline" in entry["reason"], entry
    assert "reset" in entry["remedy"], entry
    pipeline.terminate()
    pipeline.command("client", "reset", "acme").expect(ExitCode.OK)
    pipeline.start_and_wait()
    pipeline.verify_clean()
    assert pipeline.count("acme", "users") == 61


# By default pgbouncer refuses a replication connection; told to ignore the parameter it hands it an ordinary session.
@pytest.mark.parametrize("mode, settings", [("session", {}), ("transaction", {}), ("statement", {}),
                                            ("transaction", {"ignore_startup_parameters": "replication"})])
def test_a_pooler_is_named_where_it_cannot_be_read_through(shops, server, pipelines, mode, settings):
    acme, globex = shops("acme", "globex")
    pooler = Pooler(server, mode, settings).start()
    try:
        pipeline = pipelines({"acme": {"database": acme, "source": acme.url(port=pooler.port)}, "globex": globex}).start()
        entry = pipeline.wait_state("stopped", client="acme") and pipeline.client_status("acme")
        assert "pooler" in entry["reason"] and "server itself" in entry["remedy"], entry
        pipeline.wait_state("streaming", client="globex")
        assert acme.slots() == {}
        pipeline.terminate()
        # The pooler still holds its sessions, but no lease of ours with them.
        pipeline.content["clients"]["acme"]["source"] = acme.url()
        pipeline.write()
        pipeline.start_and_wait()
    finally:
        pooler.remove()


def test_verify_reads_through_a_pooler_of_sessions(shops, server, pipelines):
    acme, = shops("acme")
    pooler = Pooler(server, "session").start()
    try:
        acme.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
        pipeline = pipelines({"acme": {"database": acme, "verify_source": acme.url(port=pooler.port)}}).start_and_wait()
        assert "users: 1 rows, equal" in pipeline.verify_clean().output
    finally:
        pooler.remove()
