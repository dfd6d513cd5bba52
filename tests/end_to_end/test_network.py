"""A network that delays, cuts and falls silent between us and a client's database."""

import pytest

from harness import TcpProxy, Workload, wait_for


def through(database):
    proxy = TcpProxy(database.server.port).start()
    return proxy, {"database": database, "source": database.url(port=proxy.port)}


def test_cut_connections_are_made_again_and_nothing_is_lost(shops, pipelines):
    (acme,) = shops("acme")
    proxy, client = through(acme)
    writer = Workload(acme, seed=81).seed_rows()
    try:
        pipeline = pipelines({"acme": client}).start_and_wait()
        writer.start(rate=200)
        for number in range(5):
            before = pipeline.client_status("acme")["captured_events"]
            proxy.cut()
            pipeline.wait_status(lambda s, least=before: s["clients"][0]["captured_events"] > least, 30,
                                 f"events after cut {number}")
        writer.close()
        pipeline.verify_clean()
        pipeline.terminate()
    finally:
        writer.close()
        proxy.stop()


@pytest.mark.long
def test_a_connection_that_fell_silent_is_noticed_within_30_seconds(shops, pipelines):
    (acme,) = shops("acme")
    proxy, client = through(acme)
    try:
        pipeline = pipelines({"acme": client}).start_and_wait()
        proxy.half_open = True
        acme.execute("INSERT INTO users (id, email) VALUES (1, 'into the silence')")
        held = proxy.connections()
        wait_for(lambda: proxy.connections() < held or pipeline.client_status("acme")["state"] != "streaming", 30,
                 "the silence to be noticed")
        proxy.half_open = False
        proxy.cut()
        wait_for(lambda: pipeline.count("acme", "users") == 1, 60, "the row after the silence")
        pipeline.terminate()
    finally:
        proxy.stop()


def test_a_slow_network_is_only_slow(shops, pipelines):
    (acme,) = shops("acme")
    proxy, client = through(acme)
    proxy.delay = 0.02
    try:
        pipeline = pipelines({"acme": client}).start_and_wait()
        Workload(acme, seed=82).seed_rows().run(steps=50).close()
        pipeline.wait_queryable()
        pipeline.terminate()
    finally:
        proxy.stop()
