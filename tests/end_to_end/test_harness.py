"""The harness itself: a workload that writes nothing, or a proxy that cuts nothing, would hide bugs everywhere else."""

import collections
import socket
import threading

import pytest

from harness import NotReached, TcpProxy, Workload, wait_for
from harness.yaml_text import yaml_text


def changes_of(database, slot):
    """Kind and table of every change since the slot was made, by PostgreSQL's own test decoder."""
    found = collections.Counter()
    for (text,) in database.rows("SELECT data FROM pg_logical_slot_peek_changes(%s, NULL, NULL)", (slot,)):
        if text.startswith("table "):
            table, kind = text.split(": ")[:2]
            found[kind, table.removeprefix("table public.")] += 1
            if "unchanged-toast-datum" in text:
                found["unchanged toast"] += 1
            if "old-key:" in text:
                found["key change"] += 1
    return found


def test_the_workload_makes_every_kind_of_change(shop):
    shop.execute("SELECT pg_create_logical_replication_slot('harness_probe', 'test_decoding')")
    workload = Workload(shop, seed=11).seed_rows()
    workload.run(steps=400).close()
    found = changes_of(shop, "harness_probe")
    for kind in [("INSERT", "orders"), ("UPDATE", "orders"), ("DELETE", "orders"), ("UPDATE", "products"),
                 ("INSERT", "wide"), ("UPDATE", "wide"), ("TRUNCATE", "visits"), "unchanged toast", "key change"]:
        assert found[kind] > 0, kind
    assert workload.transactions > 300


def test_the_same_seed_writes_the_same_rows(shops):
    first, second = shops("one", "two")
    for database in (first, second):
        Workload(database, seed=5).seed_rows().run(steps=150).close()
    for table, columns in [("users", "id, email, name, balance, biography"), ("products", "*"), ("wide", "*"),
                           ("orders", "id, user_id, status, total_cents, note"), ("order_items", "*")]:
        sql = f"SELECT {columns} FROM {table} ORDER BY 1, 2"
        assert first.rows(sql) == second.rows(sql), table


def test_waiting_says_what_for():
    with pytest.raises(NotReached, match="waited 0.1 s for rain; last seen: 'sun'"):
        wait_for(lambda: False, 0.1, "rain", seen=lambda: "sun")
    assert wait_for(lambda: 7, 1, "seven") == 7


def test_a_pipeline_file_is_written_as_yaml():
    text = yaml_text({"pipeline": "shop", "views": {"v": {"sql": "SELECT 1\nFROM t"}},
                      "clients": {"a": {"x": [1, True]}}})
    assert text == ('pipeline: "shop"\nviews:\n  v:\n    sql: |-\n      SELECT 1\n      FROM t\n'
                    'clients:\n  a:\n    x: [1, true]\n')


@pytest.fixture
def echo():
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def test_the_proxy_forwards_cuts_and_half_opens(echo):
    proxy = TcpProxy(echo).start()
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
            connection.sendall(b"hello")
            assert connection.recv(10) == b"hello"
            proxy.half_open = True
            connection.sendall(b"lost")
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(10)
            connection.settimeout(5)
            proxy.cut()
            assert connection.recv(10) == b""
        wait_for(lambda: proxy.connections() == 0, 5, "the proxy to forget the connection")
    finally:
        proxy.stop()


def test_the_proxy_loses_an_answer_that_the_server_gave(echo):
    proxy = TcpProxy(echo).start()
    try:
        proxy.lose_answers(b"INSERT", forwarded=3)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
            connection.sendall(b"SELECT")
            assert connection.recv(10) == b"SELECT"
            connection.sendall(b"INSERT")
            assert connection.recv(10) == b"INS"
            assert connection.recv(10) == b""
        assert proxy.answers_lost == 1
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
            connection.sendall(b"INSERT")
            assert connection.recv(10) == b"INSERT"
    finally:
        proxy.stop()
