"""What a person does with the program: run, stop, ask."""

import concurrent.futures
import datetime
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from harness import ExitCode, Workload, create_shop, wait_for
from harness.pipeline import program
from harness.postgres import free_port
from harness.processes import exists


def test_sigterm_stops_with_exit_zero(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=31).seed_rows()
    pipeline = pipelines({"acme": acme}).start_and_wait()
    writer.start()
    try:
        engine = pipeline.engine_pid()
        code, seconds = pipeline.terminate()
        assert code == ExitCode.OK
        assert seconds < 30
        wait_for(lambda: not exists(engine), 5, "the engine child to be gone with its parent")
        assert all(pid is None for pid, _, _ in acme.slots().values())
    finally:
        writer.close()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()


def test_a_terminal_that_is_closed_stops_it_in_order_unless_it_runs_under_nohup(shop, pipelines):
    pipeline = pipelines({"acme": shop})

    def start(handling):
        before = signal.signal(signal.SIGHUP, handling)
        try:
            pipeline.start()
        finally:
            signal.signal(signal.SIGHUP, before)
        pipeline.wait_state()

    start(signal.SIG_DFL)
    code, _ = pipeline.terminate(number=signal.SIGHUP)
    assert code == ExitCode.OK and "stopping" in pipeline.log_text()
    start(signal.SIG_IGN)  # as nohup leaves it to the program
    pipeline.process.send_signal(signal.SIGHUP)
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline.wait_queryable()
    assert pipeline.terminate()[0] == ExitCode.OK
    pipeline.verify_clean()


def test_sigterm_stops_also_in_the_middle_of_a_backlog(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email, biography) SELECT g, 'x', repeat(md5(g::text), 20) "
                 "FROM generate_series(1, 200000) g")
    pipeline = pipelines({"acme": {"database": acme, "limits": {"snapshot_rows_per_second": 50000}}}).start()
    pipeline.wait_state("snapshot")
    code, seconds = pipeline.terminate()
    assert code == ExitCode.OK and seconds < 30
    assert pipeline.count("acme", "users") < 200000, "the snapshot ended before it was stopped"
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()


def test_until_caught_up_ends_when_what_was_there_is_queryable(shops, pipelines):
    (acme,) = shops("acme")
    Workload(acme, seed=32).seed_rows().run(steps=50).close()
    pipeline = pipelines({"acme": acme})
    for round_number in range(2):
        pipeline.run_until_caught_up().expect(ExitCode.OK)
        assert pipeline.count("acme", "orders") == acme.value("SELECT count(*) FROM orders"), round_number
        acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (%s, 1, 'new', 1)",
                     (900000 + round_number,))


def test_read_streaming_never_peeks_and_reads_the_same(own_server, pipelines):
    server = own_server(log_statement="all", log_replication_commands="on")
    acme = create_shop(server, "acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    rows = 0
    for way, peeks in (("streaming", False), ("auto", True)):
        acme.execute("INSERT INTO users (id, email, biography) SELECT %s + g, 'x', repeat(md5(g::text), 20) "
                     "FROM generate_series(1, 40000) g", (rows,))  # more than the backlog from which on it peeks
        rows += 40000
        said = len(server.log_file.read_text(errors="replace"))
        pipeline.run_until_caught_up("--read", way).expect(ExitCode.OK)
        statements = server.log_file.read_text(errors="replace")[said:]
        assert ("pg_logical_slot_peek_binary_changes" in statements) == peeks, way
        assert peeks or "START_REPLICATION" in statements
        assert pipeline.count("acme", "users") == rows
    assert pipeline.run_until_caught_up("--read", "sideways").exit_code == ExitCode.USAGE


def test_until_caught_up_says_so_when_a_client_could_not_be_read(shops, pipelines):
    acme, globex = shops("acme", "globex")
    globex.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline = pipelines({"acme": {"database": acme, "source": acme.url().replace(acme.name, "no_such_database")},
                          "globex": globex})
    done = pipeline.run_until_caught_up()
    assert done.exit_code != ExitCode.OK
    assert "acme is stopped and not caught up" in done.errors and "no_such_database" in done.errors
    assert pipeline.count("globex", "users") == 1


def test_status_and_query_answer_while_running_and_when_stopped(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email) SELECT g, 'u' || g FROM generate_series(1, 10) g")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    pipeline.wait_queryable()
    status = pipeline.status()
    assert status["running"] and status["pid"] == pipeline.process.pid and status["pipeline"] == pipeline.name
    (entry,) = status["clients"]
    assert entry["state"] == "streaming" and entry["reason"] == "" and entry["lag"]["events"] == 0
    assert entry["retained_wal_bytes"] >= 0 and entry["dead_letters"] == 0
    assert pipeline.count("acme", "users") == 10
    text = pipeline.command("status").expect(ExitCode.OK).output
    assert "acme" in text and "streaming" in text

    pipeline.terminate()
    acme.execute("INSERT INTO users (id, email) VALUES (100, 'unseen')")
    status = pipeline.status()
    (entry,) = status["clients"]
    assert not status["running"] and entry["state"] == "not_running"
    assert entry["lag"]["bytes"] is None and entry["retained_wal_bytes"] is None, "nobody has looked since"
    text = pipeline.command("status").expect(ExitCode.OK).output
    as_of = datetime.datetime.fromtimestamp(status["written_micros"] // 1_000_000, datetime.timezone.utc)
    assert f"as of {as_of:%Y-%m-%d %H:%M:%S}Z" in text
    assert status["checkpoint"] > 0
    assert pipeline.count("acme", "users") == 10
    csv = pipeline.command("query", "--client", "acme", "SELECT id, email FROM users ORDER BY id LIMIT 2",
                           "--format", "CSV").expect(ExitCode.OK).output
    assert csv.splitlines() == ['1,"u1"', '2,"u2"']


def test_status_tells_of_a_view_that_is_computed_again(shops, pipelines):
    """From what a process wrote last that was killed in the middle of it."""
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert "computed again" not in pipeline.command("status").expect(ExitCode.OK).output
    written = pipeline.data / "run" / "status.json"
    status = json.loads(written.read_text())
    assert status["rebuilds"] == []
    written.write_text(json.dumps(status | {"rebuilds": [{"view": "users", "fraction": 0.4}]}))
    assert pipeline.status()["rebuilds"] == [{"view": "users", "fraction": 0.4}]
    text = pipeline.command("status").expect(ExitCode.OK).output
    assert "view users is computed again: 40 %; until then readers see the build before" in text


def test_status_answers_before_the_first_run(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    status = pipeline.status()
    assert not status["running"] and status["clients"][0]["state"] == "not_running"
    assert not pipeline.data.exists(), "status changed something"


def test_a_status_has_the_same_keys_always_and_they_are_documented(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})

    def keys():
        status = pipeline.status()
        return set(status), set(status["clients"][0]), set(status["clients"][0]["lag"])

    before = keys()
    pipeline.start_and_wait("streaming")
    assert keys() == before
    assert pipeline.terminate()[0] == ExitCode.OK
    assert keys() == before
    page = (Path(__file__).parents[2] / "docs/formats/status.md").read_text()
    documented = [set(re.findall(r"`(\w+)`", cell)) for cell in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page, re.M)]
    assert set().union(*documented) == before[0] | before[1]
    assert all(f"`{key}`" in page for key in before[2])


def test_until_caught_up_gives_up_when_told_so(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up("--seconds", "600").expect(ExitCode.OK)
    pipeline.content["clients"]["acme"]["source"] = f"postgresql://nobody@127.0.0.1:{free_port()}/away"
    pipeline.write()
    done = pipeline.run_until_caught_up("--seconds", "0.5")
    assert done.exit_code == ExitCode.TEMPORARY
    assert "not caught up within 0.5 s" in done.errors
    run = subprocess.Popen([program(), "run", pipeline.file, "--until-caught-up"], cwd=pipeline.folder,
                           env={**os.environ, **pipeline.environment}, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: pipeline.status()["running"], 20, "the run to begin")
    run.terminate()
    _, errors = run.communicate(timeout=30)
    assert run.returncode == ExitCode.TEMPORARY and "not caught up when it was told to stop" in errors, errors
    done = pipeline.command("run", "--seconds", "5")
    assert done.exit_code == ExitCode.USAGE


def test_a_query_that_is_wrong_or_names_no_client_is_refused(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert pipeline.command("query", "--client", "nobody", "SELECT 1").exit_code == ExitCode.USAGE
    done = pipeline.command("query", "--client", "acme", "SELECT nothing FROM users")
    assert done.exit_code == ExitCode.DATA and "nothing" in done.errors
    assert pipeline.command("query", "--client", "acme", "DROP TABLE users").exit_code != ExitCode.OK
    assert pipeline.count("acme", "users") == 0


def test_a_second_process_on_one_data_directory_names_the_first(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    done = pipeline.command("run", limit=20)
    assert done.exit_code not in (ExitCode.OK, ExitCode.INTERNAL)
    assert re.search(rf"\b{pipeline.process.pid}\b", done.errors), done.errors
    assert pipeline.running()
    acme.execute("INSERT INTO users (id, email) VALUES (1, 'still there')")
    pipeline.verify_clean()


def test_queries_in_loops_do_not_keep_a_pipeline_from_starting(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email) VALUES (1, 'a@b.example')")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    pipeline.wait_queryable()
    stop = threading.Event()
    failed = []

    def ask():
        while not stop.is_set():
            done = pipeline.command("query", "--client", "acme", "SELECT count() FROM users")
            if done.exit_code != ExitCode.OK and "stopped while it answered" not in done.errors:
                failed.append((done.exit_code, done.errors))

    with concurrent.futures.ThreadPoolExecutor(4) as readers:
        loops = [readers.submit(ask) for _ in range(4)]
        try:
            for _ in range(4):
                pipeline.kill()
                # A stopped pipeline's data directory is in a query's hands from now on.
                wait_for(lambda: re.search(r"^\d+ command", (pipeline.data / "LOCK").read_text()), 60, "a query to hold it")
                pipeline.start_and_wait()
        finally:
            stop.set()
        for loop in loops:
            loop.result()
    pipeline.verify_clean()


def test_a_run_that_waits_for_a_command_says_so_and_is_stopped_at_once(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email) SELECT g, 'a@b.example' FROM generate_series(1, 2000) g")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    long = subprocess.Popen([program(), "replay", str(pipeline.file), "--rate", "1"], cwd=pipeline.folder,
                            stdout=subprocess.DEVNULL, env={**os.environ, **pipeline.environment})
    try:
        wait_for(lambda: re.search(r"^\d+ command", (pipeline.data / "LOCK").read_text()), 60, "the replay to hold it")
        pipeline.start()
        pipeline.wait_status(lambda status: any(f"another command (process {long.pid})" in problem
                                                for problem in status["problems"]), 30, "status to name the command")
        code, seconds = pipeline.terminate()
        assert code == ExitCode.OK and seconds < 30
        assert long.poll() is None
    finally:
        long.terminate()
        long.wait(60)
    pipeline.start_and_wait()
    pipeline.verify_clean()


def test_tap_shows_events_as_debezium_json(shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": acme, "globex": globex}).start_and_wait()
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 5, 'new', 7)")
    acme.execute("UPDATE orders SET status = 'paid' WHERE id = 1")
    acme.execute("DELETE FROM orders WHERE id = 1")
    globex.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline.wait_queryable()
    events = pipeline.events("order.*", client="acme")
    assert [event["event"] for event in events] == ["order.created", "order.updated", "order.deleted"]
    assert {event["client_id"] for event in events} == {"acme"}
    created, updated, deleted = (event["value"] for event in events)
    assert created["op"] == "c" and created["before"] is None and created["after"]["user_id"] == 5
    assert updated["op"] == "u" and updated["after"]["status"] == "paid"
    assert deleted["op"] == "d" and deleted["before"]["id"] == 1 and deleted["after"] is None
    for event in events:
        assert event["value"]["source"]["table"] == "orders" and event["value"]["ts_ms"] > 0
    positions = [event["position"] for event in events]
    assert len(set(positions)) == 3
    assert [event["event"] for event in pipeline.events("*.created", client="globex")] == ["user.created"]


def test_tap_shows_a_truncate_once(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    acme.execute("INSERT INTO visits (id) SELECT gen_random_uuid() FROM generate_series(1, 50)")
    acme.execute("TRUNCATE visits")
    pipeline.wait_queryable()
    events = [event["event"] for event in pipeline.events("visit.*")]
    assert events.count("visit.created") == 50 and events.count("visit.truncated") == 1


def test_commands_answer_while_writers_and_each_other_go_on(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=33).seed_rows()
    pipeline = pipelines({"acme": acme}).start_and_wait()
    writer.start(rate=100)
    failures = []

    def ask():
        try:
            for _ in range(5):
                pipeline.status()
                pipeline.count("acme", "orders")
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert not failures
    pipeline.verify_clean()


def test_init_writes_a_file_that_runs(shops, pipelines):
    (acme,) = shops("acme")
    Workload(acme, seed=34).seed_rows().close()
    acme.execute("CREATE TABLE keyless (v integer)")
    pipeline = pipelines({"acme": acme})
    password = {"PGPASSWORD": acme.server.password}
    done = pipeline.program("init", acme.url(), environment=password).expect(ExitCode.OK)
    assert acme.server.password not in done.output
    for word in ("public.orders", "public.order_items", "keyless", "GRANT", "wal_level"):
        assert word in done.output, word
    pipeline.file.write_text(done.output + f"\n# of {pipeline.name}\n")
    pipeline.environment.update(password)
    pipeline.command("check").expect(ExitCode.OK)
    pipeline.command("check", "--connect").expect(ExitCode.OK)
    assert pipeline.file.with_suffix(".lock").exists()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    (entry,) = pipeline.status()["clients"]
    assert pipeline.count(entry["client"], "orders") == acme.value("SELECT count(*) FROM orders")
    before, views = done.output.split("# views:\n")
    example, after = views.split("\n\n", 1)  # its commented example is one of this database
    pipeline.file.write_text(before + "views:\n" + "\n".join(line[2:] for line in example.splitlines()) + "\n\n" + after)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    assert "_in_short: " in pipeline.verify_clean().output


def test_init_says_when_a_database_has_nothing_to_capture(server, pipelines, unique_name):
    name = unique_name("empty").replace("-", "_")
    server.database("postgres").execute(f"CREATE DATABASE {name}")
    url = f"postgresql://{server.user}@127.0.0.1:{server.port}/{name}"
    pipeline = pipelines({})
    done = pipeline.program("init", url, environment={"PGPASSWORD": server.password}).expect(ExitCode.DATA)
    assert "make tables" in done.errors and done.output.startswith("# Written by")


def test_unknown_commands_and_options_are_refused(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    assert pipeline.command("no-such-command").exit_code == ExitCode.USAGE
    assert pipeline.command("run", "--no-such-option").exit_code == ExitCode.USAGE
    assert pipeline.program("run").exit_code == ExitCode.USAGE
    assert "run" in pipeline.program("--help").expect(ExitCode.OK).output
    assert not pipeline.data.exists()


def test_commands_on_a_stopped_pipeline_wait_for_each_other(shop, pipelines):
    shop.execute("INSERT INTO users (id, email) SELECT g, 'x' FROM generate_series(1, 50) g")
    pipeline = pipelines({"acme": shop})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        counts = [pool.submit(pipeline.count, "acme", "users") for _ in range(3)]
        verified = pool.submit(pipeline.verify)
        events = pool.submit(pipeline.events, "user.*")
        while not verified.done():
            assert not pipeline.status()["running"]
        assert [count.result() for count in counts] == [50, 50, 50]
        assert verified.result().exit_code == ExitCode.OK
        assert len(events.result()) == 50


def test_sigterm_ends_the_program_though_a_reader_has_paused(shop, pipelines):
    shop.execute("INSERT INTO users (id, email) SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g")
    pipeline = pipelines({"acme": shop}).start_and_wait()
    pipeline.wait_queryable()
    readers = [subprocess.Popen([program(), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={
        **os.environ, **pipeline.environment}) for words in (
            ["tap", str(pipeline.file), "--from", "start"],
            ["query", str(pipeline.file), "--client", "acme", "SELECT * FROM users"])]
    try:
        for reader in readers:
            assert reader.stdout.read(1)  # and no more
        code, seconds = pipeline.terminate()
        assert code == ExitCode.OK and seconds < 15
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


def test_an_unknown_command_is_named(pipelines, shop):
    pipeline = pipelines({"acme": shop})
    done = pipeline.program("statsu").expect(ExitCode.USAGE)
    assert "statsu" in done.errors and "did you mean 'status'?" in done.errors
    assert "tributary client shop.yaml reset acme" in pipeline.program("client", "reset", "--help").expect(0).output


def test_a_data_directory_that_cannot_be_made(pipelines, shop, tmp_path):
    (tmp_path / "file").write_text("in its place")
    pipeline = pipelines({"acme": shop}, settings={"data": str(tmp_path / "file" / "data")})
    done = pipeline.command("run", "--until-caught-up").expect(ExitCode.CANNOT_CREATE)
    assert "not a directory" in done.errors
    assert "not a directory" in pipeline.command("check").expect(ExitCode.OK).output
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    linked = pipelines({"acme": shop}, settings={"data": str(tmp_path / "link")})
    assert "a link to nothing" in linked.command("run", "--until-caught-up").expect(ExitCode.CANNOT_CREATE).errors


def test_a_source_that_libpq_would_refuse_is_told_offline(pipelines, shop):
    for parameters in ("?sslmode=maybe", "?bogus=1"):
        pipeline = pipelines({"acme": {"database": shop, "source": shop.url(parameters=parameters)}})
        done = pipeline.command("check").expect(ExitCode.CONFIG)
        assert parameters[1:].split("=")[0] in done.errors


def test_wait_names_the_client_that_is_stopped(shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": {"database": acme, "source": acme.url().replace(acme.name, "no_such_database")},
                          "globex": globex}).start()
    pipeline.wait_state("stopped", client="acme")
    pipeline.wait_state(client="globex")
    done = pipeline.command("wait", "--seconds", "60")
    assert done.exit_code == ExitCode.UNAVAILABLE
    assert "acme is stopped and not caught up" in done.errors and "globex" not in done.errors


def test_what_the_command_line_has_wrong_is_64(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    for words in (["trace", "--client", "acme", "nope", "1"], ["trace", "--client", "acme", "orders"], ["release", "diff", "7"],
                  ["release", "diff", "1", "--view", "nope"], ["release", "diff", "1", "--client", "nope"],
                  ["verify", "--rate", "0"], ["verify", "--view", "nope"], ["explain", "nope"]):
        pipeline.command(*words).expect(ExitCode.USAGE)
    for words in (["mysql://u@h/d"], ["notaurl"], ["postgresql://u:secret@127.0.0.1/d"],
                  [acme.url(), "--password-env", "NO_SUCH_VARIABLE"]):
        done = pipeline.program("init", *words).expect(ExitCode.USAGE)
        assert done.output == "" and "secret" not in done.errors
    assert "NO_SUCH_VARIABLE is not set" in done.errors
    done = pipeline.command("wait").expect(ExitCode.UNAVAILABLE)
    assert f"`tributary run {pipeline.file}` starts it" in done.errors


def test_another_pipelines_data_directory_is_named_by_every_command(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.content["pipeline"] = "other"
    pipeline.write()
    for words in (["status"], ["query", "--client", "acme", "SELECT 1"], ["release"], ["dead-letters"], ["run"]):
        done = pipeline.command(*words).expect(ExitCode.DATA)
        assert f"belongs to the pipeline '{pipeline.name}', not to 'other'" in done.errors, (words, done.errors)


def test_without_its_lock_file_what_needs_columns_says_who_reads_them(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.file.with_suffix(".lock").unlink()
    for command in ("explain", "verify"):
        done = pipeline.command(command).expect(ExitCode.CONFIG)
        assert f"`tributary check {pipeline.file} --connect` reads them" in done.errors
    pipeline.command("check", "--connect").expect(ExitCode.OK)
    pipeline.command("verify").expect(ExitCode.OK)


@pytest.mark.parametrize("bound", [{"retention": "1s"}, {"retention_bytes": "1KiB"}])
def test_the_embedded_log_keeps_to_its_bounds_while_it_runs(shops, pipelines, bound):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, settings={"log": {"at": "embedded", **bound}}).start_and_wait()
    acme.execute("INSERT INTO users (id, email) SELECT g, 'u' || g FROM generate_series(1, 1000) g")
    pipeline.wait_queryable()

    def kept():
        return pipeline.command("tap", "--from", "start", "--until-caught-up").expect(ExitCode.OK).output.count("\n")

    wait_for(lambda: kept() < 1000, 60, "the log to forget its oldest events")
    pipeline.verify_clean()
    pipeline.command("verify", "--against", "raw").expect(ExitCode.OK)


def test_a_newer_data_directory_is_refused_by_every_command(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    identity = pipeline.data / "TRIBUTARY"
    newer = identity.read_text().replace("format: 1\n", "format: 2\n")
    identity.write_text(newer)
    for words in (["status"], ["query", "--client", "acme", "SELECT 1"], ["verify"], ["tap", "*"], ["dead-letters"],
                  ["client", "reset", "acme"], ["run"]):
        done = pipeline.command(*words)
        assert done.exit_code == ExitCode.UNAVAILABLE, (words, done)
        assert "newer" in done.errors and "does not exist" not in done.errors, (words, done.errors)
    assert identity.read_text() == newer


def test_dead_letters_of_an_unknown_view_or_id_are_refused(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    done = pipeline.command("dead-letters", "retry", "--client", "acme", "--view", "oders")
    assert done.exit_code == ExitCode.USAGE and "did you mean orders?" in done.errors
    done = pipeline.command("dead-letters", "retry", "00ff", "--client", "acme", "--view", "orders")
    assert done.exit_code == ExitCode.DATA and "no dead letter 00ff" in done.errors


def test_check_says_before_a_run_what_would_stop_it(shops, own_server, server, pipelines):
    acme, other, third = shops("acme", "other", "third")
    admin = server.database("postgres")
    admin.execute("DROP ROLE IF EXISTS unable; CREATE ROLE unable LOGIN PASSWORD 'of unable' IN ROLE shop_owner")
    admin.execute("DROP ROLE IF EXISTS reading; CREATE ROLE reading LOGIN REPLICATION PASSWORD 'of reading'")
    replica = create_shop(own_server(wal_level="replica"), "shop")
    pipeline = pipelines({"acme": acme, "level": replica, "role": {
        "database": other, "source": other.url(user="unable"), "password": "of unable"}, "bare": {
        "database": third, "source": third.url(user="reading"), "password": "of reading"}})
    done = pipeline.command("check", "--connect").expect(ExitCode.NO_PERMISSION)
    assert "not all that it names can be used" in done.output and "good" not in done.output
    assert "`tributary check --connect` reads them" not in done.output, "it just did"
    answer = json.loads(pipeline.command("check", "--connect", "--json").expect(ExitCode.NO_PERMISSION).output)
    assert not answer["ok"] and answer["unreachable"] == [] and len(answer["refused"]) >= 3
    for words in (["client role", "ALTER ROLE unable REPLICATION"], ["client level", "wal_level", "ALTER SYSTEM"],
                  ["client bare", "our user may not make it", "CREATE PUBLICATION"]):
        assert any(all(word in line for word in words) for line in done.errors.splitlines()), (words, done.errors)
    assert "client acme" not in done.errors
    remedy = next(line for line in done.errors.splitlines() if "client bare" in line and "CREATE PUBLICATION" in line)
    third.execute(remedy[remedy.index("CREATE PUBLICATION"):].rstrip(";"))
    assert "may not make it" not in pipeline.command("check", "--connect").expect(ExitCode.NO_PERMISSION).errors
    replica.server.stop()
    done = pipeline.command("check", "--connect").expect(ExitCode.UNAVAILABLE)
    assert done.errors.count("client level") == 1, done.errors


def test_who_asks_no_source_needs_no_password_of_one(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    pipeline.wait_queryable()
    text = pipeline.file.read_text()
    password = next(line for line in text.splitlines() if line.strip().startswith("password:"))
    pipeline.file.write_text(text.replace(password, password.split("password:")[0] + "password: ${env:NOT_SET_ANYWHERE}"))
    for stopped in (False, True):
        if stopped:
            pipeline.terminate()
        for words in (["status"], ["query", "--client", "acme", "SELECT count() FROM orders"], ["dead-letters", "list"],
                      ["tap", "--from", "start", "--until-caught-up"], ["release", "list"]):
            pipeline.command(*words).expect(ExitCode.OK)
    for words in (["run"], ["check"], ["verify"]):
        assert "NOT_SET_ANYWHERE is not set" in pipeline.command(*words).expect(ExitCode.CONFIG).errors


def test_a_stopped_client_is_not_called_different(shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": acme, "globex": globex}).start_and_wait()
    pipeline.wait_queryable()
    acme.execute("INSERT INTO users (id, email, country) VALUES (1, 'a@x', 'DE')")
    pipeline.wait_queryable()
    acme.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()")
    publication = acme.value("SELECT pubname FROM pg_publication")
    acme.execute(f"DROP PUBLICATION {publication}; INSERT INTO users (id, email, country) VALUES (2, 'b@x', 'DE')")
    pipeline.wait_state("stopped", client="acme")
    done = pipeline.verify()
    assert done.exit_code == ExitCode.UNAVAILABLE, done.output
    assert "acme: not compared: the client is stopped" in done.output and "tributary status" in done.output
    assert "globex users" in done.output and "missing" not in done.output


def test_an_answer_that_breaks_off_is_an_error(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, g, 'x', g FROM generate_series(1, 2500) g")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    pipeline.wait_queryable()
    sql = "SELECT a.id, b.id, a.status FROM orders a CROSS JOIN orders b"
    with subprocess.Popen([program(), "query", str(pipeline.file), "--client", "acme", sql], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, **pipeline.environment}) as query:
        assert query.stdout.read(10_000)
        os.kill(pipeline.engine_pid(), signal.SIGKILL)
        rest, errors = query.communicate(timeout=60)
    assert len(rest) < 2500 * 2500 * 4, "it was whole before the engine died"
    assert query.returncode != ExitCode.OK and errors, (query.returncode, errors)
    wait_for(lambda: pipeline.command("query", "--client", "acme", "SELECT count() FROM orders").exit_code == ExitCode.OK, 60,
             "the next engine to answer")
