"""A client whose database cannot be read stops, alone, with a reason and what to do about it; all others go on."""

import os
import shutil
import subprocess

import pytest

from harness import ExitCode, Workload, create_shop, wait_for
from harness.postgres import READER


@pytest.fixture
def beside(shops, pipelines):
    """A pipeline of a healthy client `good` and of `bad`, given as in the pipeline file."""
    (good,) = shops("good")

    def make(bad, **options):
        return pipelines({"good": good, "bad": bad}, **options)

    return make


def stops(pipeline, *words, remedy=(), limit=40):
    """`bad` has to stop with all of `words` in its reason, and `good` to go on."""
    def stopped(status):
        return next((client for client in status["clients"] if client["client"] == "bad"
                     and client["state"] == "stopped"), None)

    entry = pipeline.wait_status(stopped, limit, "the client to be stopped")
    for word in words:
        assert word in entry["reason"], entry
    assert entry["remedy"], "it does not say what to do"
    for word in remedy:
        assert word in entry["remedy"], entry
    good = pipeline.databases["good"]
    good.execute("INSERT INTO visits VALUES (gen_random_uuid(), 'still alive')")
    expected = good.value("SELECT count(*) FROM visits")
    pipeline.wait_state("streaming", client="good")
    pipeline.wait_queryable()
    assert pipeline.count("good", "visits") == expected
    pipeline.verify("--client", "good").expect(0)
    text = pipeline.command("status").output
    assert entry["reason"] in text and entry["remedy"] in text


def slot_of(database):
    (slot,) = database.slots()
    return slot


def kill_readers(server, database):
    server.database("postgres").execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = %s",
        (database.name, READER))


def drop_slot(server, database):
    """Drops the slot from under the pipeline, which reconnects as fast as it may."""
    slot = slot_of(database)

    def dropped():
        kill_readers(server, database)
        database.execute("DO $$ BEGIN PERFORM pg_drop_replication_slot('" + slot + "'); "
                         "EXCEPTION WHEN object_in_use THEN NULL; END $$")
        return not database.slots()

    wait_for(dropped, 20, "the slot to be dropped")


def test_wrong_wal_level(beside, own_server):
    replica = create_shop(own_server(wal_level="replica"), "shop")
    pipeline = beside(replica).start()
    stops(pipeline, "wal_level", remedy=["wal_level", "logical"])
    replica.close()


def test_a_wrong_wal_level_is_told_and_a_new_start_goes_on(beside, own_server):
    server = own_server(wal_level="replica")
    replica = create_shop(server, "shop")
    pipeline = beside(replica).start()
    stops(pipeline, "wal_level")
    server.restart({"wal_level": "logical"})
    replica.execute("INSERT INTO users (id, email) VALUES (1, 'repaired')")
    pipeline.terminate()
    pipeline.start_and_wait()
    pipeline.verify_clean()


def test_a_role_without_replication(beside, shops, server):
    (bad,) = shops("bad")
    admin = server.database("postgres")
    admin.execute("DROP ROLE IF EXISTS plain")
    admin.execute("CREATE ROLE plain LOGIN PASSWORD 'secret of plain' IN ROLE shop_owner")
    pipeline = beside({"database": bad, "source": bad.url(user="plain"), "password": "secret of plain"}).start()
    stops(pipeline, "replicate", remedy=["ALTER ROLE", "REPLICATION"])


def test_a_table_that_may_not_be_read(beside, shops):
    (bad,) = shops("bad")
    bad.execute("ALTER TABLE orders OWNER TO CURRENT_USER")
    pipeline = beside(bad).start()
    entry = pipeline.wait_status(
        lambda s: next((c for c in s["clients"] if c["client"] == "bad" and (c["state"] == "stopped" or c["warnings"])),
                       None), 40, "the client or its table to be set aside")
    told = " ".join([entry["reason"], entry["remedy"], *entry["warnings"]])
    assert "orders" in told and "GRANT" in told, entry


def test_a_wrong_password_is_told_and_not_shown(beside, shops):
    (bad,) = shops("bad")
    pipeline = beside({"database": bad, "password": "wrong-canary-password"}).start()
    stops(pipeline, "password")
    assert "wrong-canary-password" not in pipeline.log_text() + str(pipeline.status())


def test_a_database_that_is_away_is_tried_again(beside, own_server):
    server = own_server()
    bad = create_shop(server, "shop")
    pipeline = beside(bad).start_and_wait()
    writer = Workload(bad, seed=51).seed_rows()
    writer.close()
    pipeline.wait_queryable()
    server.stop()
    pipeline.wait_state("backing_off", client="bad", limit=40)
    assert pipeline.client_status("bad")["reason"]
    pipeline.databases["good"].execute("INSERT INTO users (id, email) VALUES (7, 'meanwhile')")
    assert pipeline.verify("--client", "good").expect(0).seconds < 20, "it waited for the client that is away"
    server.start()
    pipeline.wait_state("streaming", client="bad", limit=60)
    bad.execute("INSERT INTO users (id, email) VALUES (-1, 'after the restart')")
    pipeline.verify_clean()


def test_a_server_that_crashed_resumes_where_it_was(beside, own_server):
    server = own_server(fsync="on", full_page_writes="on")
    bad = create_shop(server, "shop")
    pipeline = beside(bad).start_and_wait()
    for seed in (52, 53):
        Workload(bad, seed=seed, first_id=seed * 10000).seed_rows().run(steps=50).close()
        server.stop(sig=3)  # SIGQUIT: at once, without a checkpoint
        server.start()
    pipeline.wait_state("streaming", client="bad", limit=60)
    pipeline.verify_clean()


def test_a_dropped_slot_stops_the_client_and_a_gap_is_never_papered_over(beside, shops, server):
    (bad,) = shops("bad")
    pipeline = beside(bad).start_and_wait()
    bad.execute("INSERT INTO users (id, email) VALUES (1, 'before')")
    pipeline.wait_queryable()
    drop_slot(server, bad)
    bad.execute("INSERT INTO users (id, email) VALUES (2, 'in the gap')")
    stops(pipeline, "slot", remedy=["reset"])
    pipeline.terminate()
    pipeline.start()  # nor is it resumed by a restart
    stops(pipeline, "slot")


def test_a_slot_dropped_while_stopped_is_noticed_at_the_start(beside, shops, server):
    (bad,) = shops("bad")
    pipeline = beside(bad).start_and_wait()
    pipeline.terminate()
    drop_slot(server, bad)
    stops(pipeline.start(), "slot")


def test_an_invalidated_slot(beside, own_server):
    server = own_server(max_slot_wal_keep_size="16MB", max_wal_size="32MB", min_wal_size="32MB")
    bad = create_shop(server, "shop")
    pipeline = beside(bad).start_and_wait()
    pipeline.terminate()

    def lost():
        bad.execute("INSERT INTO users (id, email, biography) SELECT g, 'x', repeat(md5(random()::text), 100) "
                    "FROM generate_series(1, 5000) g")
        bad.execute("TRUNCATE users")
        bad.execute("SELECT pg_switch_wal()")
        bad.execute("CHECKPOINT")
        return [status for _, _, status in bad.slots().values()] == ["lost"]

    wait_for(lost, 60, "the server to invalidate the slot")
    stops(pipeline.start(), "slot", remedy=["max_slot_wal_keep_size"])


def test_a_dropped_publication(beside, shops):
    (bad,) = shops("bad")
    pipeline = beside(bad).start_and_wait()
    pipeline.terminate()
    (publication,) = [name for (name,) in bad.rows("SELECT pubname FROM pg_publication")]
    bad.execute(f"DROP PUBLICATION {publication}")
    bad.execute("INSERT INTO users (id, email) VALUES (1, 'unpublished')")
    stops(pipeline.start(), "publication")


def test_another_server_at_the_same_address(beside, own_server):
    first, second = own_server(), own_server()
    bad = create_shop(first, "shop")
    pipeline = beside(bad).start_and_wait()
    pipeline.terminate()
    other = create_shop(second, "shop")
    other.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot_of(bad),))
    (publication,) = [name for (name,) in bad.rows("SELECT pubname FROM pg_publication")]
    other.execute(f"CREATE PUBLICATION {publication} FOR ALL TABLES")
    first.stop()
    second.stop()
    second.port = first.port  # a restored or cloned server: same names, another identity
    second.start()
    second.database("postgres").execute(f"ALTER ROLE {READER} PASSWORD %s", (first.password,))
    stops(pipeline.start(), "system identifier")


def test_a_reset_reads_everything_again_and_removes_what_vanished(beside, shops, server):
    (bad,) = shops("bad")
    pipeline = beside(bad).start_and_wait()
    bad.execute("INSERT INTO users (id, email) SELECT g, 'x' FROM generate_series(1, 100) g")
    pipeline.wait_queryable()
    pipeline.terminate()
    drop_slot(server, bad)
    bad.execute("DELETE FROM users WHERE id <= 40")
    stops(pipeline.start(), "slot")
    pipeline.terminate()
    pipeline.command("client", "reset", "bad").expect(0)
    pipeline.start_and_wait().wait_queryable()
    assert pipeline.count("bad", "users") == 60
    pipeline.verify_clean()


def test_a_reset_takes_effect_while_the_pipeline_runs_and_holds_up_nobody(beside, shops, server):
    (bad,) = shops("bad")
    pipeline = beside(bad).start_and_wait()
    bad.execute("INSERT INTO users (id, email) SELECT g, 'x' FROM generate_series(1, 100) g")
    pipeline.wait_queryable()
    others = [entry["client"] for entry in pipeline.status()["clients"] if entry["client"] != "bad"]
    drop_slot(server, bad)
    bad.execute("DELETE FROM users WHERE id <= 40")
    stops(pipeline, "slot", remedy=["client FILE reset bad"])
    done = pipeline.command("client", "reset", "bad").expect(ExitCode.OK)
    assert "at once" in done.output
    pipeline.wait_state("streaming", client="bad")
    pipeline.wait_queryable()
    assert pipeline.count("bad", "users") == 60
    # Nor does it need a client that is in trouble.
    bad.execute("DELETE FROM users WHERE id <= 50")
    pipeline.command("client", "reset", "bad").expect(ExitCode.OK)
    wait_for(lambda: pipeline.count("bad", "users") == 50 and pipeline.client_status("bad")["state"] == "streaming", 60,
             "the client to stream again")
    pipeline.verify_clean()
    log = pipeline.log_text()
    assert others and not any(f"{other}: connecting" in log.split("bad: stopped")[1] for other in others)


def test_a_restored_database_is_not_resumed_and_reset_makes_it_exact(own_server, pipelines):
    server = own_server()
    bad = create_shop(server, "shop")
    bad.execute("INSERT INTO users (id, email) SELECT g, 'first' FROM generate_series(1, 100) g")
    pipeline = pipelines({"bad": bad})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    server.stop()
    backup = server.folder / "backup"
    shutil.copytree(server.data, backup, symlinks=True)
    server.start()
    bad.execute("INSERT INTO users (id, email) SELECT g, 'lost' FROM generate_series(101, 5000) g")
    bad.execute("DELETE FROM users WHERE id < 10")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    server.stop()
    for path in server.data.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    subprocess.run(["cp", "-a", f"{backup}/.", str(server.data)], check=True)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "postgres:postgres", str(server.data)], check=True)
    server.start()
    bad.execute("DELETE FROM users WHERE id BETWEEN 20 AND 30")
    pipeline.run_until_caught_up().expect(ExitCode.UNAVAILABLE)
    entry = pipeline.client_status("bad")
    assert "restored to an earlier state" in entry["reason"], entry
    assert "reset bad" in entry["remedy"], entry
    pipeline.command("client", "reset", "bad").expect(ExitCode.OK)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert pipeline.count("bad", "users") == 89
    pipeline.verify_clean()
    bad.close()
