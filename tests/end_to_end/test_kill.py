"""SIGKILL at the worst moments, each kill proved to have landed there; then nothing is lost and nothing is double.

The proof is `status`, read directly before the kill, together with what the stopped pipeline says of itself afterwards:
a snapshot that is not complete, a backlog that is not drained, a transaction of which rows are missing.
"""

import collections
import os
import signal

import pytest

from harness import ExitCode, Workload, wait_for
from harness.postgres import lsn_number
from harness.processes import exists, kill_hard
from harness.shop import own

KILLS = 3
PARTITIONS_PER_CLIENT = 3  # the default of `log:`
RECOVERY_LIMIT = 240


def raw_is_a_set(pipeline, client):
    """Raw holds each event once: no two have the same kind, position and row key.

    A TRUNCATE is an event for every partition, so it may be there once in each of the client's.
    """
    identities = collections.Counter(
        (event["event"], event["position"], str(event["key"]))
        for event in pipeline.events(client=client, store="raw", limit=RECOVERY_LIMIT))
    assert identities, "raw is empty"
    twice = [identity for identity, count in identities.items()
             if count > (PARTITIONS_PER_CLIENT if identity[0].endswith(".truncated") else 1)]
    assert not twice, f"{len(twice)} events are in raw more than once: {twice[:5]}"


def clean_at_last(pipeline):
    pipeline.run_until_caught_up(limit=RECOVERY_LIMIT).expect(ExitCode.OK)
    pipeline.verify_clean(limit=RECOVERY_LIMIT)
    # What raw lost is not seen from the sources' side.
    pipeline.command("verify", "--against", "raw", limit=RECOVERY_LIMIT).expect(ExitCode.OK)
    for client in pipeline.databases:
        raw_is_a_set(pipeline, client)


def kill_when(pipeline, condition, limit, what):
    """Starts the pipeline, kills it when condition(status) holds; returns the status that proved it."""
    engine = []

    def reached(status):
        engine[:] = [pipeline.engine_pid()]
        return status if condition(status) else None

    pipeline.start()
    status = pipeline.wait_status(reached, limit, what)
    pipeline.kill()
    if engine[0]:
        wait_for(lambda: not exists(engine[0]), 10, "the engine child to end after its parent")
    return status


def in_snapshot(least_rows):
    """The snapshot runs, has read at least `least_rows`, and is not at its end."""
    def holds(status):
        (client,) = status["clients"]
        snapshots = client["snapshots"]
        return client["state"] == "snapshot" and sum(s["rows"] for s in snapshots) >= least_rows \
            and any(0 < s["fraction"] < 0.95 for s in snapshots)
    return holds


def queryable_rows(pipeline):
    """Orders that a stopped pipeline has; none where it was killed before it made its tables."""
    done = pipeline.command("query", "--client", "acme", "SELECT count() FROM orders", "--format", "TSV")
    if "UNKNOWN_TABLE" in done.errors:
        return 0  # killed before the first round made it
    if done.exit_code == ExitCode.UNAVAILABLE:
        assert "no tables yet" in done.errors, done.errors
        return 0
    return int(done.expect(ExitCode.OK).output)


def test_kills_during_the_snapshot(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents, note) SELECT g, g, 'new', g, repeat('x', 200) "
                 "FROM generate_series(1, 60000) g")
    writer = Workload(acme, seed=41, first_id=1000000).seed_rows()
    pipeline = pipelines({"acme": {"database": acme, "limits": {"snapshot_rows_per_second": 10000}}})
    writer.start(rate=50)
    rows = 0
    try:
        for number in range(KILLS):
            status = kill_when(pipeline, in_snapshot(rows + 1), 60, f"kill {number} in the snapshot")
            rows = sum(entry["rows"] for entry in status["clients"][0]["snapshots"])
            assert queryable_rows(pipeline) < 60000, "all rows were queryable before the kill"
    finally:
        writer.close()
    clean_at_last(pipeline)


def make_backlog(database, transactions, rows):
    """Committed changes that wait in the server's log: inserts, then updates of single rows."""
    with database.connect() as connection, connection.cursor() as cursor:
        top = database.value("SELECT coalesce(max(id), 0) FROM orders")
        for number in range(transactions):
            first = top + number * rows
            cursor.execute("INSERT INTO orders (id, user_id, status, total_cents, note) "
                           "SELECT g, g %% 100, 'new', g, repeat(md5(g::text), 6) FROM generate_series(%s, %s) g",
                           (first + 1, first + rows))
            cursor.execute("UPDATE orders SET status = 'paid' WHERE id = %s", (first + 1,))
    connection.close()


def test_kills_while_a_backlog_is_drained_in_bulk(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    for number in range(KILLS):
        make_backlog(acme, transactions=60, rows=1000)
        behind = acme.value("SELECT count(*) FROM orders")
        kill_when(pipeline, lambda s: s["clients"][0]["state"] == "bulk", 60, f"kill {number} in the bulk drain")
        assert pipeline.count("acme", "orders") < behind, "everything was queryable before the kill"
    clean_at_last(pipeline)


def test_kills_while_streaming(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=42).seed_rows()
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    writer.start(rate=200)
    try:
        for number in range(KILLS):
            kill_when(pipeline, lambda status: status["clients"][0]["state"] == "streaming"
                      and status["clients"][0]["captured_events"] > 0, 60, f"kill {number} while streaming")
    finally:
        writer.close()
    clean_at_last(pipeline)


def sent_position(database):
    """How far the server has decoded and sent this database's changes; 0 without a connection."""
    return lsn_number(database.value("SELECT max(r.sent_lsn) FROM pg_stat_replication r JOIN pg_replication_slots s "
                                     "ON s.active_pid = r.pid WHERE s.database = %s", (database.name,)))


def kills_in_a_huge_transaction(acme, pipeline, rows):
    """Two kills while the transaction is open and all its rows were sent, the others between commit and queryable."""
    pipeline.start_and_wait()
    with acme.transaction() as cursor:
        cursor.execute("INSERT INTO orders (id, user_id, status, total_cents) "
                       "SELECT g, g, 'huge', g FROM generate_series(1, %s) g", (rows,))
        inside = acme.head()
        for number in range(2):
            wait_for(lambda: sent_position(acme) >= inside, 120, f"the open transaction to be sent, kill {number}")
            assert pipeline.count("acme", "orders") == 0
            pipeline.kill()
            pipeline.start()
    pipeline.kill()
    for number in range(KILLS):
        kill_when(pipeline, lambda s: s["clients"][0]["state"] in ("streaming", "bulk"), 60,
                  f"kill {number} after the commit")
        assert pipeline.count("acme", "orders") < rows, "the transaction was queryable before the kill"
    clean_at_last(pipeline)
    assert pipeline.count("acme", "orders") == rows


def test_kills_in_a_transaction_of_many_rows(shops, pipelines):
    (acme,) = shops("acme")
    kills_in_a_huge_transaction(acme, pipelines({"acme": acme}), rows=150_000)


@pytest.mark.long
def test_kills_in_a_transaction_of_a_million_rows(shops, pipelines):
    (acme,) = shops("acme")
    kills_in_a_huge_transaction(acme, pipelines({"acme": acme}), rows=1_000_000)


def test_kills_while_the_schema_changes(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, g, 'new', g "
                 "FROM generate_series(1, 30000) g")
    pipeline = pipelines({"acme": {"database": acme, "limits": {"snapshot_rows_per_second": 4000}}})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    writer = Workload(acme, seed=43, first_id=1000000).seed_rows().start(rate=30)
    try:
        for number in range(KILLS):
            # Existing rows get a value that no event carries, so the table is read again: the kill lands in that.
            own(acme, f"ALTER TABLE orders ADD COLUMN extra{number} integer DEFAULT {number + 7}")
            acme.execute("UPDATE orders SET status = 'altered' WHERE id = 1")
            kill_when(pipeline, in_snapshot(1), 60, f"kill {number} after the column was added")
    finally:
        writer.close()
    clean_at_last(pipeline)
    for number in range(KILLS):
        total = pipeline.value("acme", f"SELECT sum(extra{number}) FROM orders WHERE id <= 30000")
        assert int(total) == 30000 * (number + 7)


def replace_engine(pipeline, what):
    """Kills the engine child alone; returns when there is another one that answers."""
    engine = wait_for(pipeline.engine_pid, 30, "an engine child")
    kill_hard(engine)
    wait_for(lambda: pipeline.engine_pid() not in (None, engine), 30, f"another engine after {what}")
    wait_for(lambda: pipeline.command("query", "--client", "acme", "SELECT 1").exit_code == ExitCode.OK, 60,
             f"the engine to answer after {what}")
    assert pipeline.running()


def kill_engine_when(pipeline, condition, what):
    """The engine child alone, when condition(status) holds."""
    pipeline.wait_status(condition, 60, what)
    replace_engine(pipeline, what)


def test_kills_of_the_engine_child_during_the_snapshot_and_a_schema_change(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, g, 'new', g "
                 "FROM generate_series(1, 40000) g")
    pipeline = pipelines({"acme": {"database": acme, "limits": {"snapshot_rows_per_second": 4000}}}).start()
    for number in range(KILLS):
        kill_engine_when(pipeline, in_snapshot(8000 * number + 1), f"kill {number} in the snapshot")
    pipeline.wait_status(lambda s: s["clients"][0]["state"] == "streaming", 60, "the snapshot's end")
    for number in range(KILLS):
        own(acme, f"ALTER TABLE orders ADD COLUMN extra{number} integer DEFAULT {number + 7}")
        acme.execute("UPDATE orders SET status = 'altered' WHERE id = 1")
        kill_engine_when(pipeline, in_snapshot(1), f"kill {number} after the column was added")
        pipeline.wait_status(lambda s: s["clients"][0]["state"] == "streaming", 60, "the table to be read again")
    pipeline.wait_queryable()
    for number in range(KILLS):
        assert pipeline.value("acme", f"SELECT sum(extra{number}) FROM orders") == 40000 * (number + 7)
    pipeline.terminate()
    clean_at_last(pipeline)


def test_kills_of_the_engine_child_in_a_backlog_and_a_large_transaction(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    for number in range(KILLS):
        make_backlog(acme, transactions=60, rows=1000)
        pipeline.start()
        kill_engine_when(pipeline, lambda s: s["clients"][0]["state"] == "bulk", f"kill {number} in the bulk drain")
        pipeline.wait_queryable()
        pipeline.terminate()
    pipeline.start_and_wait()
    before = pipeline.count("acme", "orders")
    with acme.transaction() as cursor:
        cursor.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, g, 'huge', g "
                       "FROM generate_series(1000001, 1150000) g")
        inside = acme.head()
        for number in range(KILLS):
            wait_for(lambda: sent_position(acme) >= inside, 120, f"the open transaction to be sent, kill {number}")
            replace_engine(pipeline, f"kill {number} in the transaction")
            assert pipeline.count("acme", "orders") == before
    replace_engine(pipeline, "the commit")
    pipeline.wait_queryable()
    assert pipeline.count("acme", "orders") == before + 150_000
    pipeline.terminate()
    clean_at_last(pipeline)


def test_a_stop_ends_although_the_engine_answers_no_more(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    engine = wait_for(pipeline.engine_pid, 30, "an engine child")
    os.kill(engine, signal.SIGSTOP)  # the round in flight waits for it
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, g, 'new', g "
                 "FROM generate_series(1, 1000) g")
    pipeline.wait_status(lambda s: s["clients"][0]["captured_events"] >= 1000, 30, "the orders in the log")
    code, _ = pipeline.terminate()
    assert code in (ExitCode.OK, ExitCode.TEMPORARY), pipeline.log_tail()  # 0 when no round had begun to wait
    wait_for(lambda: not exists(engine), 10, "the engine child to end after its parent")
    clean_at_last(pipeline)
    assert pipeline.count("acme", "orders") == 1000


def test_kills_of_the_engine_child_lose_nothing(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=44).seed_rows()
    pipeline = pipelines({"acme": acme}).start_and_wait()
    writer.start(rate=100)
    try:
        for number in range(KILLS):
            events = pipeline.client_status("acme")["queryable_events"]
            replace_engine(pipeline, f"kill {number}")
            pipeline.wait_status(lambda s, before=events: s["clients"][0]["queryable_events"] > before, 30,
                                 "rows to become queryable again")
    finally:
        writer.close()
    pipeline.wait_queryable()
    pipeline.verify_clean()


@pytest.mark.long
def test_twenty_kills_at_any_moment(shops, pipelines):
    acme, globex = shops("acme", "globex")
    writers = [Workload(database, seed=45).seed_rows(users=3000, orders=3000).start(rate=200)
               for database in (acme, globex)]
    pipeline = pipelines({"acme": {"database": acme, "limits": {"snapshot_rows_per_second": 2000}}, "globex": globex})
    try:
        for number in range(20):
            pipeline.start()
            pipeline.wait_status(lambda status, least=37 * number: least <= sum(
                client["captured_events"] for client in status["clients"]), 60, "some events to have passed")
            pipeline.kill()
    finally:
        for writer in writers:
            writer.close()
    clean_at_last(pipeline)
