"""Commits that are in the write-ahead log and visible to nobody: they wait for a standby that does not exist.

A snapshot chunk read meanwhile holds the old row, the stream delivered the new one: the new one has to win.
"""

import threading

from harness import create_shop, wait_for
from harness.shop import own

ROWS = 20000
HELD = [1, 2, 10000, 19999, 20000]  # rows of the first and the last chunk, and between


def test_a_commit_that_waits_for_a_standby_wins_over_the_snapshot(own_server, pipelines):
    server = own_server()
    acme = create_shop(server, "shop")
    own(acme, "ALTER TABLE orders ADD COLUMN padding text")
    acme.execute("INSERT INTO orders SELECT g, g, 'old', g, NULL, now(), repeat('x', 500) "
                 "FROM generate_series(1, %s) g", (ROWS,))
    # Everybody commits locally but the sessions that are to hang: also the pipeline, which makes its publication.
    acme.execute("ALTER DATABASE shop SET synchronous_commit = 'local'")
    acme.close()
    pipeline = pipelines({"acme": {"database": acme, "limits": {"snapshot_rows_per_second": 4000}}}).start()
    pipeline.wait_status(lambda s: s["clients"][0]["state"] == "snapshot" and
                         any(p["rows"] > 0 for p in s["clients"][0]["snapshots"]), 30, "the snapshot to run")
    server.database("postgres").execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.database("postgres").execute("SELECT pg_reload_conf()")

    def hang(row):
        connection = acme.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            if row % 2:
                cursor.execute("UPDATE orders SET status = 'new' WHERE id = %s", (row,))
            else:
                cursor.execute("DELETE FROM orders WHERE id = %s", (row,))
        connection.close()

    released = threading.Event()

    def probe():  # commits do not wait before the server's processes have all read the new setting
        connection = acme.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            while not released.is_set():
                cursor.execute("SELECT pg_logical_emit_message(true, 'probe', '')")
        connection.close()

    threads = [threading.Thread(target=probe)]
    threads += [threading.Thread(target=hang, args=(row,)) for row in HELD]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    threads[0].start()
    wait_for(lambda: acme.value(waiting) == 1, 20, "a commit to hang")
    for thread in threads[1:]:
        thread.start()
    wait_for(lambda: acme.value(waiting) == len(threads), 20, "the commits to hang")
    assert acme.value("SELECT count(*) FROM orders WHERE status = 'new'") == 0, "they are visible"
    try:
        pipeline.wait_state("streaming", limit=60)
        assert acme.value(waiting) == len(threads), "they were released before the snapshot ended"
    finally:
        released.set()
        server.database("postgres").execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.database("postgres").execute("SELECT pg_reload_conf()")
        for thread in threads:
            thread.join()
    pipeline.wait_queryable()
    updated = pipeline.query("acme", "SELECT id FROM orders WHERE status = 'new' ORDER BY id")
    assert [int(row["id"]) for row in updated] == [row for row in HELD if row % 2]
    assert pipeline.count("acme", "orders") == ROWS - sum(row % 2 == 0 for row in HELD)
    pipeline.verify_clean()


def test_a_transaction_older_than_the_slot_is_waited_for_and_named(own_server, pipelines):
    acme = create_shop(own_server(), "shop")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, g, 'old', g "
                 "FROM generate_series(1, 100) g")
    with acme.transaction() as cursor:
        cursor.execute("SELECT pg_backend_pid(), txid_current()")
        pid, _ = cursor.fetchone()
        cursor.execute("UPDATE orders SET status = 'in the old transaction' WHERE id <= 10")
        pipeline = pipelines({"acme": acme}).start()
        told = pipeline.wait_status(lambda s: str(pid) in str(s["clients"][0]) and s["clients"][0], 40,
                                    "status to name the transaction that is waited for")
        assert told["state"] in ("connecting", "snapshot", "backing_off")
    pipeline.wait_state("streaming", limit=60)
    pipeline.wait_queryable()
    assert pipeline.value("acme", "SELECT count() FROM orders WHERE status = 'in the old transaction'") in (10, "10")
    pipeline.verify_clean()
