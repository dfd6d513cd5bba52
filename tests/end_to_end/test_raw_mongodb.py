"""The raw store on MongoDB: on two servers that speak its protocol, and on a real one whose URI is in TRIBUTARY_TEST_MONGODB."""

import datetime
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time

import pytest

from harness import ExitCode, MongoServer, TcpProxy, Workload, wait_for
from harness.mongo import KINDS
from harness.pipeline import program

# The second server takes 400 rows a second.
CONTRACT = {
    "h2": "*RawContract*mongodb:MongoRawTest.*",
    "nx": "*RawContract.EventsComeBackExactly/mongodb:*RawContract.VisitStops*/mongodb:*RawContract.AnEventOfAnySize*/mongodb:"
          "MongoRawTest.*",
}


def run_contract(uri, tests):
    """Of the unit tests, those of every raw store, on the server."""
    binary = pathlib.Path(program()).resolve().parent / "store_test"
    done = subprocess.run([str(binary), f"--gtest_filter={tests}"], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "TRIBUTARY_TEST_MONGODB": uri}, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "SKIPPED" not in done.stdout, done.stdout[-2000:]


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_raw_store_promises(kind):
    server = MongoServer(kind)
    try:
        server.start()
        run_contract(server.uri, CONTRACT[kind])
    finally:
        server.remove()


@pytest.mark.skipif("TRIBUTARY_TEST_MONGODB" not in os.environ, reason="TRIBUTARY_TEST_MONGODB names no server")
def test_what_every_raw_store_promises_on_a_real_server():
    run_contract(os.environ["TRIBUTARY_TEST_MONGODB"], CONTRACT["h2"])


VIEWS = {
    "customers": {"sql": "SELECT id, lower(trim(email)) AS email FROM users"},
    "totals": {"sql": "SELECT status, count(*) AS orders, sum(total_cents) AS cents FROM orders GROUP BY status"},
}


@pytest.fixture(scope="module")
def mongo():
    """One server for the tests of this file, reached through `mongo.proxy`; who kills it starts it again."""
    server = MongoServer("h2").start()
    server.proxy = TcpProxy(server.port).start()
    yield server
    server.proxy.stop()
    server.remove()


@pytest.fixture(autouse=True)
def good_proxy(request):
    yield
    if "mongo" in request.fixturenames:
        proxy = request.getfixturevalue("mongo").proxy
        proxy.delay, proxy.half_open, proxy.refuse = 0, False, False
        proxy.lose_answers(times=0)
        proxy.answer_instead(b"", b"", 0)


@pytest.fixture
def make(pipelines, shops, mongo, unique_name):
    """Makes a pipeline of two clients whose raw store is a database of its own on the server."""
    def of(views=None, clients=("acme", "globex"), server=None, **settings):
        database = unique_name("raw").replace("-", "_")
        port = server.port if server else mongo.proxy.port
        pipeline = pipelines(dict(zip(clients, shops(*clients))), views=VIEWS if views is None else views,
                             settings={"raw": f"mongodb://127.0.0.1:{port}/{database}", **settings})
        pipeline.raw_database = (server or mongo).client()[database]
        return pipeline
    return of


def fill(pipeline, steps=40):
    """Writes to each client's database; the next call goes on where this one ended."""
    if not hasattr(pipeline, "writers"):
        pipeline.writers = [Workload(database, seed).seed_rows() for seed, database in
                            enumerate(pipeline.databases.values())]
    for writer in pipeline.writers:
        writer.run(steps=steps)


def wait_raw(pipeline, limit=60):
    """Until the raw store has everything that is in the log."""
    pipeline.wait_queryable()
    pipeline.wait_status(lambda status: status["raw_waiting_events"] == 0, limit, "raw to have the log's events")


def facts(events):
    """What an event says, without where it was read and when."""
    for event in events:
        for name in ("topic", "partition", "offset"):
            event.pop(name, None)
        for name in ("ts_ms", "ts_us", "ts_ns"):
            event["value"].pop(name)
    return sorted(json.dumps(event, sort_keys=True) for event in events)


def same_as_the_log(pipeline):
    log, raw = facts(pipeline.events()), facts(pipeline.events(store="raw"))
    assert len(log) > 50 and len(set(raw)) == len(raw)
    assert raw == log


@pytest.mark.parametrize("kind", ["embedded", *KINDS])
def test_raw_has_every_event_of_the_log_and_each_once(make, mongo, kind):
    server = mongo if kind == "h2" else MongoServer(kind).start() if kind in KINDS else None
    try:
        pipeline = make(server=server, **({"raw": "embedded"} if kind == "embedded" else {}))
        fill(pipeline, 40 if kind != "nx" else 10)
        pipeline.start_and_wait()
        database = pipeline.databases["acme"]
        database.execute("INSERT INTO visits VALUES (gen_random_uuid(), 'a', 1.5, '2024-02-29'), (gen_random_uuid(), 'b', "
                         "'NaN', 'infinity'); TRUNCATE visits; UPDATE users SET id = -id WHERE id = (SELECT min(id) FROM users); "
                         "ALTER TABLE products ADD COLUMN stock numeric; INSERT INTO products VALUES ('numbers', 't', 1, 2.500, "
                         "'{a,NULL}', false, 12345678901234567890123456789012345678.90)")
        fill(pipeline, 20 if kind != "nx" else 5)
        wait_raw(pipeline)
        same_as_the_log(pipeline)
        pipeline.verify_clean()
        pipeline.terminate()
        same_as_the_log(pipeline)  # a stopped pipeline's raw store answers too
    finally:
        if server not in (None, mongo):
            server.remove()


def test_documents_are_for_people_too(make):
    pipeline = make(clients=("acme",))
    pipeline.databases["acme"].execute(
        "INSERT INTO users VALUES (7, 'a@b.example', 'Ada', 'DE', 12.50, '{\"a\": [1, true]}', NULL, '2024-02-29 12:00+00')")
    pipeline.start_and_wait()
    wait_raw(pipeline)
    user = pipeline.raw_database["users"].find_one({"client": "acme", "row.id": 7})
    assert user["kind"] == "r" and user["table"] == "public.users"
    assert str(user["row"]["balance"]) == "12.50" and user["row"]["preferences"] == {"a": [1, True]}
    assert user["row"]["created_at"] == datetime.datetime(2024, 2, 29, 12) and user["row"]["biography"] is None
    assert {index["name"] for index in pipeline.raw_database["users"].list_indexes()} >= {"client_key", "client_time"}


def test_a_server_that_is_away_is_waited_for(make, mongo):
    pipeline = make()
    mongo.proxy.refuse = True
    done = pipeline.command("check", "--connect")
    assert done.exit_code == ExitCode.UNAVAILABLE and "raw: MongoDB: " in done.errors, done.errors
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()  # analytics do not wait for it
    pipeline.wait_status(lambda status: any(problem.startswith("raw: ") for problem in status["problems"]) and
                         status["raw_waiting_events"] > 50, 20, "status to say that raw waits")
    pipeline.kill()
    pipeline.start_and_wait()
    mongo.proxy.refuse = False
    wait_raw(pipeline)
    same_as_the_log(pipeline)
    assert pipeline.command("check", "--connect").exit_code == ExitCode.OK
    mongo.kill()
    fill(pipeline, 20)
    pipeline.wait_status(lambda status: status["problems"], 20, "status to say that the server is away")
    mongo.start()
    wait_raw(pipeline)
    same_as_the_log(pipeline)
    assert pipeline.status()["problems"] == []
    pipeline.verify_clean()


def test_the_log_keeps_what_raw_has_not_whatever_its_retention(make, mongo):
    pipeline = make(clients=("acme",), log={"at": "embedded", "retention": "1s"})
    mongo.proxy.refuse = True
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    written = facts(pipeline.events())
    pipeline.terminate()
    time.sleep(1.5)  # older than the retention, which a start applies
    pipeline.start_and_wait()
    assert facts(pipeline.events()) == written
    mongo.proxy.refuse = False
    wait_raw(pipeline)
    assert facts(pipeline.events(store="raw")) == written
    # What raw has, the log may forget: it is removed with the next start, and a reader from the start sees what is left.
    pipeline.terminate()
    pipeline.start_and_wait()
    wait_for(lambda: not pipeline.events(limit=20), 20, "the log to forget")
    assert facts(pipeline.events(store="raw")) == written


def step_down_answer():
    """An answer to any command: the server is no primary any more."""
    body = sys.modules["bson"].encode({"ok": 0.0, "code": 10107, "codeName": "NotWritablePrimary", "errmsg": "not primary"})
    message = struct.pack("<iB", 0, 0) + body
    return struct.pack("<iiii", len(message) + 16, 1, 1, 2013) + message


def test_answers_that_are_lost_and_a_primary_that_steps_down(make, mongo):
    """Fault 28: what was written already is a duplicate key, and that is success; an election is waited for."""
    pipeline = make()
    fill(pipeline)
    mongo.proxy.lose_answers(b"insert", times=3)
    pipeline.start_and_wait()
    wait_raw(pipeline)
    assert mongo.proxy.answers_lost == 3
    same_as_the_log(pipeline)
    mongo.proxy.answer_instead(b"insert", step_down_answer(), times=3)
    fill(pipeline, 20)
    wait_for(lambda: mongo.proxy.answered_instead == 3, 30, "the primary to step down")
    wait_raw(pipeline)
    mongo.proxy.cut()
    mongo.proxy.delay = 0.02
    fill(pipeline, 20)
    wait_raw(pipeline)
    same_as_the_log(pipeline)
    pipeline.verify_clean()


def test_killed_between_raw_and_what_is_noted_of_it(make, mongo):
    pipeline = make()
    mongo.proxy.delay = 0.01  # a write takes its time, so that kills come in the middle
    fill(pipeline)
    for round_number in range(4):
        pipeline.start_and_wait()
        fill(pipeline, 15)
        before = pipeline.raw_database["orders"].estimated_document_count()
        wait_for(lambda known=before: pipeline.raw_database["orders"].estimated_document_count() > known or round_number > 0,
                 30, "raw to grow")
        pipeline.kill()
    pipeline.start_and_wait()
    wait_raw(pipeline)
    same_as_the_log(pipeline)
    pipeline.verify_clean()


def test_a_changed_view_waits_for_raw_and_is_computed_from_it(make, mongo):
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    wait_raw(pipeline)
    pipeline.terminate()
    # What comes while raw is away has to be in the new build as well.
    mongo.proxy.refuse = True
    pipeline.start_and_wait()
    fill(pipeline, 20)
    pipeline.wait_queryable()
    pipeline.terminate()
    pipeline.content["views"]["totals"]["sql"] += ", total_cents % 2"
    pipeline.content["views"]["totals"]["sql"] = pipeline.content["views"]["totals"]["sql"].replace(
        "SELECT status,", "SELECT status, total_cents % 2 AS odd,")
    pipeline.write()
    pipeline.start_and_wait()
    rebuilds = pipeline.wait_status(lambda status: status["rebuilds"], 20, "the view to be computed again")
    assert rebuilds[0]["view"] == "totals"
    assert pipeline.count("acme", "customers") > 0  # others are as they were
    mongo.proxy.refuse = False
    pipeline.wait_status(lambda status: not status["rebuilds"], 60, "the new build to be whole")
    pipeline.wait_queryable()
    pipeline.verify_clean()
    pipeline.command("verify", "--against", "raw").expect(ExitCode.OK)


@pytest.mark.parametrize("how", ["gone", "silent"])
def test_raw_that_goes_while_it_feeds_a_release_holds_up_that_alone(make, mongo, how):
    pipeline = make()
    for database in pipeline.databases.values():
        database.execute("INSERT INTO users (id, email) VALUES (1, 'a@b.example'); "
                         "INSERT INTO orders (id, user_id, status, total_cents) "
                         "SELECT g, 1, 'paid', 1 FROM generate_series(1, 1000) g")
    pipeline.start_and_wait()
    wait_raw(pipeline)
    pipeline.content["views"]["totals"]["sql"] = "SELECT upper(status) AS status, count(*) AS orders FROM orders GROUP BY ALL"
    pipeline.write()
    pipeline.command("replay", "--detach", "--rate", "200").expect(ExitCode.OK)

    def listed():
        return json.loads(pipeline.command("release", "list", "--json").expect(ExitCode.OK).output)

    wait_for(lambda: 0 < listed()["releases"][1]["events_fed"], 60, "the release to be fed")
    if how == "gone":
        mongo.kill()
    else:
        mongo.proxy.half_open = True
    try:
        waits = pipeline.wait_status(
            lambda status: [problem for problem in status["problems"] if "computed from raw waits" in problem], 60,
            "the feeding to wait for raw")
        assert "MongoDB" in waits[0]
        assert "it waits: " in pipeline.command("release", "list").expect(ExitCode.OK).output
        for turn in range(2, 12):  # each in a round of its own, while raw is asked again and again
            for database in pipeline.databases.values():
                database.execute(f"INSERT INTO users (id, email) VALUES ({turn}, 'a@b.example'); "
                                 f"UPDATE orders SET total_cents = {turn} WHERE id = {turn}")
            pipeline.wait_queryable()
            assert pipeline.count("globex", "customers") == turn
        assert not any(problem.startswith("processing") for problem in pipeline.status()["problems"])
        assert listed()["releases"][1]["state"] == "building"
    finally:
        if how == "gone":
            mongo.start()
        else:
            mongo.proxy.half_open = False
            mongo.proxy.cut()
    pipeline.wait_status(lambda status: not status["problems"], 90, "raw to be read again")
    wait_for(lambda: listed()["releases"][1]["state"] == "ready", 90, "the release to be whole")
    pipeline.command("release", "switch").expect(ExitCode.OK)
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_dead_letters_and_trace_read_raw(make):
    pipeline = make(views={"halves": {"sql": "SELECT id, CAST(note AS INTEGER) AS number FROM orders"}}, clients=("acme",))
    database = pipeline.databases["acme"]
    database.execute("INSERT INTO users (id, email) VALUES (1, 'a@b.example'); "
                     "INSERT INTO orders (id, user_id, status, total_cents, note) VALUES (1, 1, 'paid', 5, '12'), "
                     "(2, 1, 'paid', 5, 'twelve')")
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    letters = json.loads(pipeline.command("dead-letters", "show", "--json").expect(ExitCode.OK).output)
    assert len(letters) == 1 and letters[0]["events"][0]["value"]["after"]["note"] == "twelve"
    database.execute("UPDATE orders SET note = '13' WHERE id = 2")
    pipeline.wait_queryable()
    assert pipeline.status()["clients"][0]["dead_letters"] == 0
    trace = json.loads(pipeline.command("trace", "--client", "acme", "orders", "2", "--json").expect(ExitCode.OK).output)
    assert [event["event"] for event in trace["events"]] == ["order.snapshot", "order.updated"]


def test_rows_that_fail_while_raw_is_away_hold_up_nobody(make, mongo):
    pipeline = make(views={"halves": {"sql": "SELECT id, CAST(note AS INTEGER) AS number FROM orders"},
                           "customers": VIEWS["customers"]})
    acme, globex = (pipeline.databases[client] for client in ("acme", "globex"))
    for database in (acme, globex):
        database.execute("INSERT INTO users (id, email) VALUES (1, 'a@b.example'); "
                         "INSERT INTO orders (id, user_id, status, total_cents, note) VALUES (1, 1, 'paid', 5, '12')")
    pipeline.start_and_wait()
    wait_raw(pipeline)
    mongo.proxy.refuse = True
    acme.execute("UPDATE orders SET note = 'twelve' WHERE id = 1")
    pipeline.wait_status(lambda status: status["clients"][0]["dead_letters"] == 1, 60, "the row to be told")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents, note) VALUES (2, 1, 'paid', 5, 'two')")
    globex.execute("INSERT INTO users (id, email) VALUES (2, 'c@d.example')")
    pipeline.wait_queryable()
    assert pipeline.count("globex", "customers") == 2 and pipeline.count("acme", "halves") == 0
    acme.execute("UPDATE orders SET note = '2' WHERE id = 2")
    pipeline.wait_queryable()
    assert pipeline.count("acme", "halves") == 1
    mongo.proxy.refuse = False
    wait_raw(pipeline)
    assert pipeline.status()["clients"][0]["dead_letters"] == 1, "raw has nothing newer than what failed"
    acme.execute("UPDATE orders SET note = '1' WHERE id = 1")
    pipeline.wait_queryable()
    assert pipeline.status()["clients"][0]["dead_letters"] == 0
    pipeline.verify_clean()


def test_a_data_directory_that_is_older_than_raw_is_refused(make):
    """Put back from a copy: it would give other schemas the numbers of those that later events were written under."""
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    wait_raw(pipeline)
    pipeline.terminate()
    copy = pipeline.folder / "copy"
    shutil.copytree(pipeline.data, copy)
    for _ in range(2):
        fill(pipeline)
        pipeline.start_and_wait()
        wait_raw(pipeline)
        pipeline.kill()
    shutil.rmtree(pipeline.data)
    shutil.copytree(copy, pipeline.data)
    for _ in range(2):
        refused = pipeline.run_until_caught_up()
        assert refused.exit_code not in (ExitCode.OK, None) and "of a later run of this data directory" in refused.errors


def test_preview_replay_and_verify_read_raw(make, mongo):
    pipeline = make()
    fill(pipeline)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    pipeline.content["views"]["totals"]["sql"] = "SELECT upper(status) AS status, count(*) AS orders FROM orders GROUP BY ALL"
    pipeline.write()
    for running in (True, False):
        preview = json.loads(pipeline.command("preview", "--view", "totals", "--client", "acme", "--json")
                             .expect(ExitCode.OK).output)
        assert preview["rows_before"] == preview["removed"] == preview["rows_after"] == preview["added"] > 0
        rows = {row["status"]: int(row["orders"]) for row in pipeline.query("acme", "SELECT status, orders FROM totals")}
        names = preview["preview"]["columns"]
        assert {row[names.index("status")]: int(row[names.index("orders")]) for row in preview["preview"]["rows"]} == {
            status.upper(): orders for status, orders in rows.items()}
        if running:
            pipeline.terminate()
    # Raw is away: what needs it says so, and nothing is made of a part of it.
    mongo.proxy.refuse = True
    refused = pipeline.command("preview", "--view", "totals", "--client", "acme")
    assert refused.exit_code != ExitCode.OK and "MongoDB" in refused.errors
    mongo.proxy.refuse = False
    pipeline.command("replay").expect(ExitCode.OK)
    pipeline.command("release", "switch").expect(ExitCode.OK)
    assert {row["status"] for row in pipeline.query("acme", "SELECT status FROM totals")} == {
        status.upper() for status in rows}
    pipeline.command("verify", "--against", "raw").expect(ExitCode.OK)


def test_the_log_on_kafka_and_raw_on_mongodb(make, kafka):
    pipeline = make(log={"at": f"kafka://{kafka.address}", "partitions": 4, "partitions_per_client": 2})
    fill(pipeline)
    pipeline.start_and_wait()
    fill(pipeline, 30)
    pipeline.databases["acme"].execute("TRUNCATE visits")
    pipeline.kill()
    fill(pipeline, 30)
    pipeline.start_and_wait()
    wait_raw(pipeline)
    pipeline.verify_clean()
    # A TRUNCATE is told to each partition of the log, and is one event of raw; what a kill had written twice is once in raw.
    log, raw = facts(pipeline.events()), facts(pipeline.events(store="raw"))
    assert len(set(raw)) == len(raw) and set(raw) == set(log)
    pipeline.command("verify", "--against", "raw").expect(ExitCode.OK)


def test_a_data_directory_and_a_database_belong_together(make, mongo):
    pipeline = make(clients=("acme",))
    fill(pipeline)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    same_as_the_log(pipeline)
    at = pipeline.content["raw"]
    pipeline.content["raw"] = "embedded"
    pipeline.write()
    done = pipeline.run_until_caught_up()
    assert done.exit_code != ExitCode.OK and "raw: the events of this data directory are in the database" in done.errors
    pipeline.content["raw"] = at
    pipeline.content["data"] = "./other"
    pipeline.write()
    refused = pipeline.run_until_caught_up()
    assert refused.exit_code not in (ExitCode.OK, None) and "belongs to another data directory" in refused.errors


def test_an_address_that_is_wrong_is_named_at_its_place(make):
    pipeline = make(clients=("acme",))
    for at, why in [("mongodb://127.0.0.1:1", "names no database"), ("mongodb://127.0.0.1:1/raw?nonsense", "MongoDB's driver"),
                    ("mongodb://127.0.0.1:1/raw?readPreference=secondaryPreferred", "readPreference")]:
        pipeline.content["raw"] = at
        pipeline.write()
        done = pipeline.command("check")
        assert done.exit_code == ExitCode.CONFIG and why in done.output + done.errors, done.output + done.errors


@pytest.mark.long
def test_a_server_that_falls_silent_does_not_keep_the_program_from_ending(make, mongo):
    pipeline = make(clients=("acme",))
    fill(pipeline)
    pipeline.start_and_wait()
    wait_raw(pipeline)
    mongo.proxy.half_open = True
    fill(pipeline, 20)
    pipeline.wait_queryable()
    code, seconds = pipeline.terminate()
    assert code == ExitCode.OK and seconds < 30
