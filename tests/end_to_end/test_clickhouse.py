"""`analytics: clickhouse://`: a server that is not ours, away, too old, or at fault (faults 25 to 27 of docs/faults.md).

The server is the current engine behind a bridge (harness/clickhouse.py); what needs users and passwords, and the refusal
of a version that is too old, is seen on ClickHouse 18.16.
"""

import json
import shutil
import threading
import time

import pytest

from harness import ExitCode, OldClickHouse, Workload, wait_for
from harness.certificates import Certificates
from harness.clickhouse import Bridge, error_answer

VIEWS = {
    "customers": {"sql": "SELECT id, lower(trim(email)) AS email, client.plan AS plan FROM users"},
    "sales": {"sql": "SELECT id, user_id, status, total_cents FROM orders WHERE status <> 'test'"},
    "totals": {"sql": "SELECT status, count(*) AS orders, sum(total_cents) AS cents FROM orders GROUP BY status"},
}


@pytest.fixture
def make(pipelines, shops, clickhouse, unique_name):
    """Makes a pipeline of two clients whose analytics are on the server: make(parameters="?timeout=5s")."""
    def of(parameters="", server=None, views=None, **settings):
        database = unique_name("shop").replace("-", "_")
        acme, globex = shops("acme", "globex")
        pipeline = pipelines({"acme": {"database": acme, "attributes": {"plan": "gold"}}, "globex": globex},
                             views=VIEWS if views is None else views,
                             settings={"analytics": {"at": f"clickhouse://{(server or clickhouse).address}/{database}"
                                                           f"{parameters}"}, **settings})
        pipeline.analytics_database = database
        return pipeline
    return of


@pytest.fixture(autouse=True)
def good_bridge(clickhouse):
    yield
    bridge = clickhouse.bridge
    bridge.delay, bridge.half_open, bridge.refuse = 0, False, False
    bridge.lose_answers(times=0)
    bridge.answer_instead(b"", b"", 0)


def fill(pipeline, steps=50):
    """Writes to each client's database; the next call goes on where this one ended."""
    if not hasattr(pipeline, "writers"):
        pipeline.writers = [Workload(database, seed).seed_rows() for seed, database in
                            enumerate(pipeline.databases.values())]
    for writer in pipeline.writers:
        writer.run(steps=steps)


def test_a_server_holds_what_the_sources_say_and_clients_apart(make, clickhouse):
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    fill(pipeline, 20)
    pipeline.wait_queryable()
    pipeline.verify_clean()
    database = pipeline.analytics_database
    assert set(clickhouse.query(f"SHOW TABLES FROM {database} NOT LIKE ' %'").split()) == set(VIEWS)
    for client in ("acme", "globex"):
        ours = pipeline.databases[client].value("SELECT count(*) FROM users")
        # By the read view on the server, by its database's name through the gate, and by the pipeline's own query.
        assert clickhouse.query(f"SELECT count() FROM {database}_{client}.customers") == f"{ours}\n"
        assert pipeline.count(client, "customers") == pipeline.count(client, f"{database}_{client}.customers") == ours
    refused = pipeline.command("query", "--client", "acme", f"SELECT count() FROM {database}_globex.customers")
    assert refused.exit_code == ExitCode.NO_PERMISSION
    refused = pipeline.command("query", "--client", "acme", f"SELECT count() FROM {database}.customers")
    assert refused.exit_code == ExitCode.NO_PERMISSION
    assert pipeline.engine_pid() is None
    pipeline.terminate()
    assert pipeline.count("acme", "customers") > 0  # a stopped pipeline's rows are still on the server


def test_a_server_that_is_away_is_waited_for(make, clickhouse):
    pipeline = make()
    clickhouse.bridge.refuse = True
    done = pipeline.command("check", "--connect")
    assert done.exit_code == ExitCode.UNAVAILABLE and "analytics: ClickHouse at http://127.0.0.1" in done.errors
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_status(lambda status: any("analytics: " in problem and clickhouse.address in problem
                                            for problem in status["problems"]), 20, "status to name the server")
    clickhouse.bridge.refuse = False
    pipeline.wait_queryable()
    pipeline.verify_clean()
    assert pipeline.command("check", "--connect").exit_code == ExitCode.OK
    clickhouse.kill()
    fill(pipeline, 20)
    pipeline.wait_status(lambda status: status["problems"], 20, "status to say that the server is away")
    clickhouse.start()
    pipeline.wait_queryable()
    pipeline.verify_clean()
    assert pipeline.status()["problems"] == []


def test_a_silent_server_does_not_hold_up_the_end(make, clickhouse):
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    clickhouse.bridge.half_open = True
    fill(pipeline, 20)
    pipeline.wait_status(lambda status: any(client["lag"]["events"] for client in status["clients"]), 20,
                         "events to wait for the server")
    asking = threading.Thread(target=lambda: answers.append(pipeline.command("query", "--client", "acme",
                                                                             "SELECT count() FROM customers")))
    answers = []
    asking.start()
    time.sleep(1)  # an INSERT and a query are under way, and wait for their answers
    code, _ = pipeline.terminate()
    asking.join()
    assert code == ExitCode.OK and answers[0].exit_code != ExitCode.OK
    clickhouse.bridge.half_open = False
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_a_release_is_ready_when_the_server_has_it(make, clickhouse):
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    clickhouse.bridge.refuse = True
    clickhouse.bridge.cut()
    pipeline.command("replay", "--view", "totals", "--detach").expect(ExitCode.OK)

    def release():
        return json.loads(pipeline.command("release", "list", "--json").expect(ExitCode.OK).output)["releases"][-1]
    wait_for(lambda: all(view["whole"] for view in release()["views"]), 20, "all of raw to be computed")
    assert release()["state"] == "building"
    clickhouse.bridge.refuse = False
    wait_for(lambda: release()["state"] == "ready", 20, "the server to have the rows")
    diff = json.loads(pipeline.command("release", "diff", "--json").expect(ExitCode.OK).output)
    assert all(entry["rows_before"] == entry["rows_after"] > 0 for entry in diff["views"]) and diff["views"]


def test_tls_is_verified(make, clickhouse, tmp_path):
    ours, other = Certificates(tmp_path / "ours"), Certificates(tmp_path / "other")
    bridge = Bridge(clickhouse.socket, ours).start()
    try:
        pipeline = make()
        at = f"clickhouse+https://127.0.0.1:{bridge.port}/{pipeline.analytics_database}"
        fill(pipeline)
        for untrusted in (at, f"{at}?ca={other.authority}"):
            pipeline.content["analytics"] = untrusted
            pipeline.write()
            done = pipeline.command("check", "--connect")
            assert done.exit_code == ExitCode.UNAVAILABLE and "certificate" in done.errors
        pipeline.content["analytics"] = f"{at}?ca={ours.authority}&compression=zstd"
        pipeline.write()
        assert pipeline.command("check", "--connect").exit_code == ExitCode.OK
        pipeline.run_until_caught_up().expect(ExitCode.OK)
        pipeline.verify_clean()
    finally:
        bridge.stop()


def test_another_store_under_a_data_directory_is_refused(make):
    pipeline = make()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.content["analytics"] = "embedded"
    pipeline.write()
    done = pipeline.run_until_caught_up()
    assert done.exit_code == ExitCode.TEMPORARY and pipeline.analytics_database in done.errors


def test_a_database_belongs_to_one_data_directory(make, clickhouse):
    pipeline = make()
    fill(pipeline)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.content["data"] = "./other"
    pipeline.write()
    for command in (["check", "--connect"], ["run"]):
        done = pipeline.command(*command)
        assert done.exit_code != ExitCode.OK and "belongs to another data directory" in done.errors
        assert f"DROP DATABASE {pipeline.analytics_database}" in done.errors
    # A server that is away at the start is not known to be another's: the rows wait, and status says why.
    clickhouse.bridge.refuse = True
    pipeline.start_and_wait()
    clickhouse.bridge.refuse = False
    pipeline.wait_status(lambda status: any("belongs to another data directory" in problem
                                            for problem in status["problems"]), 20, "status to name the database's owner")
    pipeline.terminate()
    pipeline.content["data"] = "./data"
    pipeline.write()
    assert pipeline.command("check", "--connect").exit_code == ExitCode.OK
    assert pipeline.count("acme", "customers") > 0, "its rows are as they were"


def test_a_data_directory_that_is_older_than_what_the_server_has_is_refused(make, clickhouse):
    """Put back from a copy: versions of its rows would begin below those that later runs left on the server."""
    pipeline = make()
    fill(pipeline)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    copy = pipeline.folder / "copy"
    shutil.copytree(pipeline.data, copy)
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    pipeline.kill()
    pipeline.start_and_wait()  # after a crash the server may be ahead of us, too
    pipeline.wait_queryable()
    pipeline.terminate()
    shutil.rmtree(pipeline.data)
    shutil.copytree(copy, pipeline.data)
    for _ in range(2):
        refused = pipeline.run_until_caught_up()
        assert refused.exit_code not in (ExitCode.OK, None) and "of a later run of this data directory" in refused.errors
        assert f"DROP DATABASE {pipeline.analytics_database}" in refused.errors
    for database in (pipeline.analytics_database, f"{pipeline.analytics_database}_acme", f"{pipeline.analytics_database}_globex"):
        clickhouse.query(f"DROP DATABASE {database}")
    pipeline.start_and_wait(limit=60)
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_what_somebody_else_made_under_our_names_stays(make, clickhouse):
    pipeline = make()
    fill(pipeline)
    database = pipeline.analytics_database
    for name in (database, f"{database}_acme"):
        clickhouse.query(f"CREATE DATABASE {name}")
    for name in (f"{database}.sales", f"{database}_acme.totals"):
        clickhouse.query(f"CREATE TABLE {name} (theirs UInt8) ENGINE = MergeTree ORDER BY theirs")
        clickhouse.query(f"INSERT INTO {name} VALUES (7)")
    pipeline.start_and_wait()
    pipeline.wait_status(lambda status: any(f"{database} has something else of this name" in problem
                                            and f"{database}_acme has something else of the name totals" in problem
                                            for problem in status["problems"]), 20, "status to name both tables")
    assert pipeline.count("globex", "totals") >= 0 and pipeline.count("acme", "customers") >= 0
    for name in (f"{database}.sales", f"{database}_acme.totals"):
        assert clickhouse.query(f"SELECT * FROM {name}") == "7\n"
        clickhouse.query(f"DROP TABLE {name} SYNC")
    pipeline.terminate()
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_a_clients_database_is_never_another_pipelines(make, clickhouse):
    """Database `shop` with a client `acme`, and database `shop_acme`: who asks as acme would see the other one's tables."""
    pipeline = make()
    fill(pipeline)
    other = make()
    fill(other)
    database = pipeline.analytics_database
    other.content["analytics"]["at"] = f"clickhouse://{clickhouse.address}/{database}_acme"
    other.write()
    other.start_and_wait()
    other.wait_queryable()
    pipeline.start_and_wait()
    pipeline.wait_status(lambda status: any(f"client acme: the database {database}_acme has another pipeline's tables" in problem
                                            for problem in status["problems"]), 20, "status to name the database")
    wait_for(lambda: pipeline.count("globex", "customers") > 0, 30, "the other client's rows")
    third = make()
    third.content["analytics"]["at"] = f"clickhouse://{clickhouse.address}/{database}_globex"
    third.write()
    third.start_and_wait()
    third.wait_status(lambda status: any(f"{database}_globex has the read views of another" in problem
                                         for problem in status["problems"]), 20, "status to name the database")


def test_wrong_addresses_are_refused_with_their_place(make):
    pipeline = make(parameters="?cache=1")
    done = pipeline.command("check")
    assert done.exit_code == ExitCode.CONFIG and "ca, compression, cluster and timeout" in done.errors
    assert pipeline.command("run").exit_code == ExitCode.CONFIG
    pipeline.content["analytics"] = "clickhouse://user:canary@127.0.0.1/a"
    pipeline.write()
    done = pipeline.command("check")
    assert done.exit_code == ExitCode.CONFIG and "password" in done.errors and "canary" not in done.errors


def test_an_old_server_is_refused_by_its_version_and_a_wrong_password_by_name(make):
    server = OldClickHouse()
    try:
        server.start()
        server.address = f"127.0.0.1:{server.port}"
        pipeline = make(server=server)
        pipeline.content["analytics"]["password"] = "${env:ANALYTICS_PASSWORD}"
        pipeline.write()
        pipeline.environment["ANALYTICS_PASSWORD"] = server.password
        for command in (["check", "--connect"], ["run"]):
            done = pipeline.command(*command)
            assert done.exit_code == ExitCode.UNAVAILABLE
            assert "version 18.16.1; 23.8 or newer is needed" in done.errors
        pipeline.environment["ANALYTICS_PASSWORD"] = "canary-wrong-password"
        done = pipeline.command("run")
        assert done.exit_code == ExitCode.NO_PERMISSION and "analytics: " in done.errors
        assert "canary" not in done.errors + done.output
    finally:
        server.remove()


# ---- faults

INSERT = b"query=INSERT"  # in the head of a request that inserts


def repeated_rows(clickhouse, pipeline):
    """Rows that a table has more than once, by table: what a repeated INSERT would leave until a merge."""
    counts = {view: int(clickhouse.query(f"SELECT count() - uniqExact(client_id, _key, _version, _deleted) "
                                         f"FROM {pipeline.analytics_database}.{view}")) for view in VIEWS}
    return {view: count for view, count in counts.items() if count}


def test_answers_that_are_lost_after_the_commit(make, clickhouse):
    """Fault 25: same block, same token, so that not even a row too many is there, and without a token the versions hold."""
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    for view in VIEWS:  # rows may have come twice by the table's reading and by the stream
        clickhouse.query(f"OPTIMIZE TABLE {pipeline.analytics_database}.{view} FINAL")
        clickhouse.query(f"SYSTEM STOP MERGES {pipeline.analytics_database}.{view}")
    for forwarded in (0, 20, 0, 0):
        lost = clickhouse.bridge.answers_lost
        clickhouse.bridge.lose_answers(INSERT, forwarded=forwarded, times=2)
        fill(pipeline, 20)  # in many rounds: what is repeated is not all there is to send
        wait_for(lambda lost=lost: clickhouse.bridge.answers_lost >= lost + 2, 20, "two answers to be lost")
    pipeline.wait_queryable()
    assert repeated_rows(clickhouse, pipeline) == {}
    pipeline.verify_clean()
    for view in VIEWS:  # the window is over
        clickhouse.query(f"ALTER TABLE {pipeline.analytics_database}.{view} MODIFY SETTING non_replicated_deduplication_window = 0")
    lost = clickhouse.bridge.answers_lost
    clickhouse.bridge.lose_answers(INSERT, times=3)
    fill(pipeline, 20)
    wait_for(lambda: clickhouse.bridge.answers_lost >= lost + 3, 20, "three answers to be lost")
    pipeline.wait_queryable()
    assert repeated_rows(clickhouse, pipeline) != {}
    pipeline.verify_clean()


def test_answers_that_come_too_late(make, clickhouse):
    """Fault 25: the server commits after we stopped waiting."""
    pipeline = make(parameters="?timeout=1s")
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    clickhouse.bridge.delay = 1.5
    fill(pipeline, 20)
    pipeline.wait_status(lambda status: any("Timeout was reached" in problem for problem in status["problems"]), 30,
                         "status to say that the server is too slow")
    clickhouse.bridge.delay = 0
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_too_many_parts_are_waited_out(make, clickhouse):
    """Fault 26, by the engine's own limit."""
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    table = f"{pipeline.analytics_database}.sales"
    clickhouse.query(f"SYSTEM STOP MERGES {table}")
    clickhouse.query(f"ALTER TABLE {table} MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1")
    fill(pipeline, 30)
    pipeline.wait_status(lambda status: any("TOO_MANY_PARTS" in problem for problem in status["problems"]), 30,
                         "status to say that there are too many parts")
    clickhouse.query(f"ALTER TABLE {table} MODIFY SETTING parts_to_delay_insert = 1000, parts_to_throw_insert = 3000")
    clickhouse.query(f"SYSTEM START MERGES {table}")
    pipeline.wait_queryable()
    pipeline.verify_clean()


@pytest.mark.parametrize(("code", "text"), [
    (242, "Table is in readonly mode (replica path: /tables/1) (TABLE_IS_READ_ONLY)"),
    (241, "(total) memory limit exceeded (MEMORY_LIMIT_EXCEEDED)"),
    (319, "Unknown status, client must retry (UNKNOWN_STATUS_OF_INSERT)"),
    (999, "Session expired (KEEPER_EXCEPTION)"),
    (516, "tributary: Authentication failed (AUTHENTICATION_FAILED)")])
def test_what_a_server_refuses_for_a_while(make, clickhouse, code, text):
    """Fault 26: every INSERT is refused; status has the server's words; all of it arrives afterwards."""
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    clickhouse.bridge.answer_instead(INSERT, error_answer(code, text), times=None)
    fill(pipeline, 20)
    pipeline.wait_status(lambda status: any(text in problem for problem in status["problems"]), 30,
                         f"status to name the error {code}")
    clickhouse.bridge.answer_instead(b"", b"", 0)
    pipeline.wait_queryable()
    # Rows are queryable a moment before the next round takes the problem back.
    pipeline.wait_status(lambda status: status["problems"] == [], 30, "the problem to be gone")
    pipeline.verify_clean()


def test_a_server_that_is_killed_and_cut_off_while_rows_come(make, clickhouse):
    """Fault 26: SIGKILL of the server in the midst of INSERTs, and connections cut, some of them in their middle."""
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    writers = [writer.start(200) for writer in pipeline.writers]
    for number in range(4):
        time.sleep(0.4)
        if number % 2:
            clickhouse.bridge.cut()
        else:
            clickhouse.kill()
            clickhouse.start()
    for writer in writers:
        writer.stop()
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_a_table_that_does_not_fit_is_set_aside_alone(make, clickhouse):
    """Fault 27. Mended, it gets what was kept for it."""
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    table = f"{pipeline.analytics_database}.sales"
    clickhouse.query(f"ALTER TABLE {table} ADD CONSTRAINT theirs CHECK total_cents < 0")
    fill(pipeline, 40)
    pipeline.wait_status(lambda status: any(problem.startswith("table sales is set aside: ") and "theirs" in problem
                                            for problem in status["problems"]), 30, "status to set the table aside by name")
    pipeline.wait_queryable()
    for view in ("customers", "totals"):
        pipeline.verify_clean("--view", view)
    pipeline.terminate()
    clickhouse.query(f"ALTER TABLE {table} DROP CONSTRAINT theirs")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()


def test_the_program_is_killed_between_the_sinks_writes(make, clickhouse):
    """SIGKILL after the server has committed and before we heard of it, then before it got anything, in turns."""
    pipeline = make()
    fill(pipeline)
    bridge = clickhouse.bridge
    for number in range(6):
        if number % 2:
            refused = bridge.answered_instead
            bridge.answer_instead(INSERT, error_answer(252, "Too many parts (TOO_MANY_PARTS)"), times=None)
            pipeline.start_and_wait()
            fill(pipeline, 15)
            wait_for(lambda seen=refused: bridge.answered_instead > seen, 20, "an INSERT to be refused")
        else:
            lost = bridge.answers_lost
            pipeline.start_and_wait()
            bridge.lose_answers(INSERT, times=1)
            fill(pipeline, 15)
            wait_for(lambda seen=lost: bridge.answers_lost > seen, 20, "an answer to be lost")
        pipeline.kill()
        bridge.answer_instead(b"", b"", 0)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
