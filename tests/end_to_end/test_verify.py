"""verify finds what was made different by hand in the analytics, says where, and keeps the clients apart."""

import json
import os
import signal
import subprocess

import pytest

from harness import ExitCode, Workload, wait_for
from harness.by_hand import change_rows, run_by_hand
from harness.pipeline import program
from harness.shop import own


@pytest.fixture
def stopped(shops, pipelines):
    """Two clients, caught up; the pipeline does not run."""
    acme, globex = shops("acme", "globex")
    for number, database in enumerate((acme, globex)):
        database.execute("INSERT INTO orders (id, user_id, status, total_cents, note) "
                         "SELECT g, g %% 7, 'new', g * 10 + %s, md5(g::text) FROM generate_series(1, 500) g", (number,))
    pipeline = pipelines({"acme": acme, "globex": globex})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    return pipeline


def by_hand(pipeline, *changes):
    """Runs the pipeline only for the changes: verify then finds it stopped."""
    pipeline.start_and_wait()
    for change in changes:
        change()
    pipeline.terminate()


def find(pipeline, *words):
    """verify has to see a difference, and its answer to hold each of `words`."""
    output = pipeline.verify().expect(ExitCode.DIFFERENCE).output
    for word in words:
        assert word in output, output
    return output


def test_a_changed_row_is_found(stopped):
    by_hand(stopped, lambda: change_rows(stopped, "orders", "acme", "id = 137", total_cents="total_cents + 1"))
    find(stopped, "acme", "orders", "137", "total_cents")
    stopped.verify("--client", "globex").expect(ExitCode.OK)
    stopped.verify("--client", "acme", "--view", "users").expect(ExitCode.OK)
    stopped.verify("--client", "acme", "--view", "orders").expect(ExitCode.DIFFERENCE)
    acme = stopped.databases["acme"]
    acme.execute("UPDATE orders SET total_cents = total_cents WHERE id = 137")  # written again: agrees again
    stopped.run_until_caught_up().expect(ExitCode.OK)
    stopped.verify_clean()


def test_it_goes_on_with_what_was_not_clean(stopped, tmp_path):
    state = tmp_path / "verify.state"
    by_hand(stopped, lambda: change_rows(stopped, "orders", "acme", "id = 137", total_cents="total_cents + 1"))
    options = ("--resume", state, "--rate", "100000")
    found = stopped.command("verify", *options).expect(ExitCode.DIFFERENCE).output
    assert "clean before" not in found and state.exists()
    by_hand(stopped, lambda: change_rows(stopped, "orders", "acme", "id = 137", total_cents="total_cents - 1"))
    again = stopped.command("verify", *options).expect(ExitCode.OK).output
    assert "globex orders: clean before" in again and "acme orders: 500 rows, equal" in again and not state.exists()
    stopped.command("verify", "--rate", "-1").expect(ExitCode.USAGE)
    unwritable = stopped.command("verify", "--resume", tmp_path / "no" / "file")
    assert unwritable.exit_code != ExitCode.OK and "cannot be written" in unwritable.errors


def test_an_end_by_signal_leaves_nothing_behind(stopped, tmp_path):
    for number in (signal.SIGINT, signal.SIGTERM):
        own_handling = signal.signal(number, signal.SIG_DFL)  # what is ignored here would be there, too: a shell's background job
        run = subprocess.Popen([program(), "verify", stopped.file, "--rate", "50"], cwd=stopped.folder,
                               env={**os.environ, **stopped.environment, "TMPDIR": str(tmp_path)})
        signal.signal(number, own_handling)
        wait_for(lambda: list(tmp_path.glob("tributary-verify-*")), 20, "verify to make its folder")
        run.send_signal(number)
        assert run.wait(20) == -number
        assert not list(tmp_path.glob("tributary-verify-*"))


def test_a_lost_row_is_found(stopped):
    by_hand(stopped, lambda: change_rows(stopped, "orders", "acme", "id = 137", _deleted="1"))
    find(stopped, "acme", "orders", "137")


def test_a_row_that_should_not_be_there_is_found(stopped):
    by_hand(stopped, lambda: change_rows(stopped, "orders", "acme", "id = 138", id="90138", _key="concat(_key, 'x')"))
    find(stopped, "acme", "orders", "90138")


def test_a_doubled_row_is_found(stopped):
    by_hand(stopped, lambda: change_rows(stopped, "orders", "acme", "id = 200", _key="concat(_key, 'x')"))
    find(stopped, "acme", "orders", "200")


def test_rows_swapped_between_clients_are_found_in_both(stopped):
    by_hand(stopped, lambda: run_by_hand(
        stopped, "INSERT INTO orders SELECT * REPLACE(if(client_id = 'acme', 'globex', 'acme') AS client_id, "
                 "_version + 1000 AS _version) FROM orders FINAL WHERE id = 300"))
    output = find(stopped, "acme", "globex", "300")
    assert output.count("300") >= 2


def test_a_client_that_cannot_be_read_is_named_and_the_others_are_compared(stopped):
    by_hand(stopped, lambda: change_rows(stopped, "orders", "globex", "id = 1", _deleted="1"))
    acme = stopped.databases["acme"]
    acme.execute("REVOKE ALL ON orders FROM shop_owner")
    done = stopped.verify()
    assert done.exit_code not in (ExitCode.OK,)
    assert "acme" in done.output + done.errors and "permission denied" in done.output + done.errors
    assert "globex" in done.output


def test_a_difference_of_a_table_that_is_set_aside_comes_with_the_reason(shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": acme, "globex": globex}).start_and_wait()
    own(acme, "ALTER TABLE visits DROP CONSTRAINT visits_pkey CASCADE")
    pipeline.wait_status(lambda status: status["clients"][0]["warnings"], 30, "the table to be set aside")
    acme.execute("INSERT INTO visits (id) VALUES ('00000000-0000-0000-0000-000000004711')")
    done = pipeline.verify().expect(ExitCode.DIFFERENCE)
    assert "4711" in done.output and "acme: note: status warns: public.visits has no primary key" in done.output
    assert "globex: note" not in done.output
    notes = {client["client"]: client["notes"] for client in json.loads(pipeline.verify("--json").output)["clients"]}
    assert "ADD PRIMARY KEY" in notes["acme"][0] and notes["globex"] == []


def test_a_difference_is_found_and_nothing_is_imagined_while_writers_go_on(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=21, first_id=1000).seed_rows()
    pipeline = pipelines({"acme": acme}).start_and_wait()
    writer.start(rate=250)  # about 1,000 rows a second
    try:
        for _ in range(2):
            pipeline.verify_clean()
        acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'left alone', 1)")
        pipeline.wait_queryable()
        change_rows(pipeline, "orders", "acme", "id = 1", status="'changed by hand'")
        assert "changed by hand" in pipeline.verify().expect(ExitCode.DIFFERENCE).output
    finally:
        writer.close()


def test_it_ends_when_the_pipeline_that_it_judges_ends(stopped):
    stopped.start_and_wait()
    run = subprocess.Popen([program(), "verify", stopped.file, "--rate", "50", "--client", "acme", "--view", "orders"],
                           cwd=stopped.folder, env={**os.environ, **stopped.environment},
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: stopped.databases["acme"].rows("SELECT 1 FROM pg_stat_activity WHERE application_name = "
                                                    "'tributary verify' AND query LIKE 'COPY%'"), 20, "verify to read")
    stopped.terminate()
    output, _ = run.communicate(timeout=30)
    assert run.returncode == ExitCode.UNAVAILABLE and "the pipeline ended while it was verified" in output, output
