"""A canary scan: the password is in no output, no log, no process list and no file of ours."""

import json

from harness import ExitCode, Workload
from harness.processes import command_line, descendants


def holds_canary(folder, canary):
    return [str(path) for path in folder.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]


def test_no_secret_in_any_output_log_file_or_process_list(shops, pipelines):
    acme, globex = shops("acme", "globex")
    canary = acme.server.password
    secret = {"database": globex, "password": "${file:./secret}", "source": globex.url(port=1)}  # cannot be reached
    pipeline = pipelines({"acme": acme, "globex": secret})
    (pipeline.folder / "secret").write_text(canary + "\n")
    Workload(acme, seed=61).seed_rows().close()
    outputs = []

    def run(command, *arguments):
        done = pipeline.command(command, *arguments)
        outputs.append(done.output + done.errors)

    pipeline.start().wait_state("streaming", client="acme")
    for pid in [pipeline.process.pid, *descendants(pipeline.process.pid)]:
        assert canary not in command_line(pid)
    for running in (True, False):
        run("status", "--json")
        run("check")
        run("explain")
        run("verify")
        run("query", "--client", "acme", "SELECT * FROM users")
        run("tap", "*", "--from", "start", "--until-caught-up")
        run("query", "--client", "acme", "SELECT * FROM system.processes")
        run("check", "--connect")
        run("check", "--connect", "--json")
        run("trace", "--client", "acme", "users", "1")
        run("preview", "--client", "acme", "--view", "users")
        run("verify", "--against", "raw", "--json")
        run("dead-letters", "list")
        run("replay")
        run("release", "diff")
        run("release", "switch")
        run("release", "rollback")
        run("client", "reset", "globex")
        run("wait", "--seconds", "1")
        if running:
            pipeline.terminate()
    run("no-such-command")
    run("run", "--until-caught-up", "--seconds", "5")  # and whatever it says of globex
    for url in (acme.url(), globex.url(port=1), acme.url(user="nobody")):
        done = pipeline.program("init", url, environment={"PGPASSWORD": canary})
        outputs.append(done.output + done.errors)
    assert "pipeline:" in "\n".join(outputs)
    assert canary not in "\n".join(outputs)
    assert canary not in pipeline.log_text()
    assert canary not in json.dumps(pipeline.content)
    (pipeline.folder / "secret").unlink()
    assert holds_canary(pipeline.folder, canary) == []


def test_a_refused_connection_does_not_show_the_password(shops, pipelines):
    (acme,) = shops("acme")
    canary = "canary with 'quotes' and \\ and %20"
    pipeline = pipelines({"acme": {"database": acme, "password": "${env:CANARY}"}}, environment={"CANARY": canary})
    done = pipeline.run_until_caught_up()
    assert done.exit_code != ExitCode.OK
    for part in (canary, "quotes", "canary with"):
        assert part not in done.output + done.errors


def test_the_engine_child_inherits_no_environment(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}).start_and_wait()
    with open(f"/proc/{pipeline.engine_pid()}/environ", "rb") as file:
        assert acme.server.password.encode() not in file.read()
