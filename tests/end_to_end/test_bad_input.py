"""Every command under wrong arguments and in wrong places: an error that says what is wrong, an exit code that says whether to try
again, and nothing made or lost."""

import os
import shutil
import subprocess

import pytest

from harness import ExitCode, create_shop
from harness.pipeline import program

# Each command with what it needs, behind the pipeline file.
COMMANDS = [("check",), ("check", "--connect"), ("run",), ("status",), ("status", "--json"), ("wait",), ("verify",), ("explain",),
            ("dead-letters",), ("tap",), ("query", "--client", "acme", "SELECT 1"), ("client", "reset", "acme"),
            ("verify", "--against", "raw"), ("replay",), ("release", "list"), ("release", "diff"), ("release", "switch"),
            ("release", "rollback"), ("preview", "--client", "acme", "--view", "orders"),
            ("trace", "--client", "acme", "orders", "1")]
OF_DATA = [words for words in COMMANDS if words[0] in ("verify", "dead-letters", "tap", "query", "client", "replay", "release",
                                                       "preview", "trace")]

# words → exit code and what the error has to hold
WRONG_WORDS = {
    (): (ExitCode.USAGE, "subcommand"),
    ("init",): (ExitCode.USAGE, "URL"),
    ("init", "nonsense"): (ExitCode.USAGE, "postgresql://"),
    ("init", "mysql://a@b/c"): (ExitCode.USAGE, "postgresql://"),
    ("init", "postgresql://a:hunter2@127.0.0.1/c"): (ExitCode.USAGE, "password"),
    ("init", "postgresql://a@127.0.0.1:1/c"): (ExitCode.UNAVAILABLE, "refused"),
    ("init", "postgresql://a@no.such.host.invalid/c"): (ExitCode.UNAVAILABLE, "no.such.host.invalid"),
    ("run", "FILE", "extra"): (ExitCode.USAGE, "extra"),
    ("run", "FILE", "--stages", "some"): (ExitCode.USAGE, "some"),
    ("wait", "FILE", "--seconds", "abc"): (ExitCode.USAGE, "abc is no number"),
    ("wait", "FILE", "--seconds", "-1"): (ExitCode.USAGE, "-1 is no number"),
    ("verify", "FILE", "--rate", "-1"): (ExitCode.USAGE, "-1 is no whole number"),
    ("verify", "FILE", "--memory", "1KiB"): (ExitCode.USAGE, "1KiB is no size from 64MiB on"),
    ("replay", "FILE", "--rate", "-1"): (ExitCode.USAGE, "-1 is no whole number"),
    ("verify", "FILE", "--rate", "0"): (ExitCode.USAGE, "0 is no whole number from 1 on"),
    ("replay", "FILE", "--rate", "0"): (ExitCode.USAGE, "0 is no whole number from 1 on"),
    ("release", "FILE", "switch", "-1"): (ExitCode.USAGE, "-1 is no whole number"),
    ("release", "FILE", "diff", "--samples", "-1"): (ExitCode.USAGE, "-1 is no whole number"),
    ("preview", "FILE", "--client", "acme", "--view", "orders", "--limit", "1.5"): (ExitCode.USAGE, "1.5 is no whole number"),
    ("trace", "FILE", "--client", "acme", "orders", "1", "--limit", "-1"): (ExitCode.USAGE, "-1 is no whole number"),
    ("query", "FILE", "SELECT 1"): (ExitCode.USAGE, "--client"),
    ("query", "FILE", "--client", "nobody", "SELECT 1"): (ExitCode.USAGE, "nobody"),
    ("query", "FILE", "--client", "acme", ""): (ExitCode.DATA, "empty"),
    ("query", "FILE", "--client", "acme", "SELECT"): (ExitCode.DATA, "yntax"),
    ("query", "FILE", "--client", "acme", "SELECT * FROM nothing"): (ExitCode.DATA, "nothing"),
    ("query", "FILE", "--client", "acme", "SELECT 1; SELECT 2"): (ExitCode.NO_PERMISSION, "not allowed"),
    ("query", "FILE", "--client", "acme", "DROP TABLE users"): (ExitCode.NO_PERMISSION, "not allowed"),
    ("query", "FILE", "--client", "acme", "SELECT 1", "--format", "Nonsense"): (ExitCode.DATA, "Nonsense"),
    ("tap", "FILE", "--client", "nobody"): (ExitCode.USAGE, "nobody"),
    ("tap", "FILE", "--client", ""): (ExitCode.USAGE, "no name"),  # of a variable that is not set
    ("verify", "FILE", "--client", ""): (ExitCode.USAGE, "no name"),
    ("verify", "FILE", "--view", ""): (ExitCode.USAGE, "no name"),
    ("dead-letters", "FILE", "drop", "--client", ""): (ExitCode.USAGE, "no name"),
    ("replay", "FILE", "--client", ""): (ExitCode.USAGE, "no name"),
    ("tap", "FILE", "--from", "yesterday"): (ExitCode.USAGE, "yesterday"),
    ("tap", "FILE", "--store", "nowhere"): (ExitCode.USAGE, "nowhere"),
    ("tap", "FILE", "ordr.*", "--until-caught-up"): (ExitCode.OK, "there are"),  # the log may hold events of before
    ("verify", "FILE", "--client", "nobody"): (ExitCode.USAGE, "nobody"),
    ("verify", "FILE", "--view", "nothing"): (ExitCode.USAGE, "nothing"),
    ("explain", "FILE", "nothing"): (ExitCode.USAGE, "nothing"),
    ("dead-letters", "FILE", "sow"): (ExitCode.USAGE, "sow"),
    ("dead-letters", "FILE", "list", "--client", "nobody"): (ExitCode.USAGE, "nobody"),
    ("client", "FILE"): (ExitCode.USAGE, "subcommand"),
    ("client", "FILE", "reset", "nobody"): (ExitCode.USAGE, "nobody"),
    ("top", "FILE"): (ExitCode.UNAVAILABLE, "not built yet"),
}


def made(folder):
    return sorted(path for path in folder.rglob("*"))


def test_wrong_arguments(shop, pipelines):
    pipeline = pipelines({"acme": shop})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    for words, (code, text) in WRONG_WORDS.items():
        done = pipeline.program(*[str(pipeline.file) if word == "FILE" else word for word in words], limit=20)
        assert done.exit_code == code and text in done.errors, (words, done)
        assert "hunter2" not in done.errors
    pipeline.verify_clean()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_a_pipeline_file(built_program, tmp_path, words):  # pylint: disable=unused-argument
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = made(tmp_path)
    for name in ("absent.yaml", "folder", "pipe"):
        done = subprocess.run([program(), words[0], name, *words[1:]], capture_output=True, text=True, cwd=tmp_path, timeout=60,
                              check=False)
        assert done.returncode == ExitCode.CONFIG and name in done.stderr and not done.stdout, done
    assert made(tmp_path) == before


def test_with_too_few_files_to_open(shop, pipelines):
    pipeline = pipelines({"acme": shop})
    before = made(pipeline.folder)
    for words in COMMANDS:
        done = subprocess.run(["prlimit", "--nofile=16:16", program(), words[0], pipeline.file, *words[1:]], capture_output=True,
                              text=True, env={**os.environ, **pipeline.environment}, timeout=60, check=False)
        assert done.returncode == ExitCode.NO_PERMISSION and "16 files open" in done.stderr, (words, done)
    assert made(pipeline.folder) == before


def test_before_the_first_run_nothing_is_made(shop, pipelines):
    pipeline = pipelines({"acme": shop})
    before = made(pipeline.folder)
    for words in OF_DATA:
        done = pipeline.command(*words, limit=20)
        assert done.exit_code in (ExitCode.USAGE, ExitCode.DATA) or done.output == "no dead letters\n", (words, done)
        assert "run" in done.errors + done.output or words == ("dead-letters",), (words, done)
    assert pipeline.command("wait", limit=20).exit_code == ExitCode.UNAVAILABLE
    assert made(pipeline.folder) == before


def test_an_answer_that_cannot_be_written_is_an_error(shop, pipelines):
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline = pipelines({"acme": shop})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    environment = {**os.environ, **pipeline.environment, "PGPASSWORD": shop.server.password}
    for words in [("init", shop.url()), *[(words[0], str(pipeline.file), *words[1:]) for words in [
            *COMMANDS, ("tap", "--from", "start", "--until-caught-up")] if words[0] not in ("run", "wait", "client", "dead-letters")]]:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program(), *words], stdout=full, stderr=subprocess.PIPE, text=True, env=environment,
                                  timeout=60, check=False)
        assert done.returncode == ExitCode.CANNOT_CREATE or words[0] == "tap" and len(words) == 2, (words, done)


def test_with_the_server_away(own_server, pipelines):
    shop = create_shop(own_server(), "shop")
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline = pipelines({"acme": shop})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    shop.server.stop()
    for words in (("check", "--connect"), ("verify",)):
        done = pipeline.command(*words).expect(ExitCode.UNAVAILABLE)
        assert "acme" in done.output + done.errors and "refused" in done.output + done.errors, done
    for words in (("check",), ("status",), ("explain",), ("dead-letters",)):
        pipeline.command(*words).expect(ExitCode.OK)
    assert pipeline.count("acme", "users") == 1
    pipeline.start().wait_state("backing_off", "connecting")
    assert pipeline.count("acme", "users") == 1
    code, seconds = pipeline.terminate()
    assert code == ExitCode.OK and seconds < 15


def test_in_a_folder_that_is_read_only(shop, pipelines, tmp_path):
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        pipeline = pipelines({"acme": shop})
        pipeline.run_until_caught_up().expect(ExitCode.OK)
        shutil.copytree(pipeline.data, disk / "data")
        pipeline.content["data"] = str(disk / "data")
        pipeline.write()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for words in [("run",), *OF_DATA]:
            done = pipeline.command(*words, limit=20).expect(ExitCode.NO_PERMISSION)
            assert "Read-only file system" in done.errors and str(disk) in done.errors, done
        for words in (("check",), ("status",), ("explain",)):
            pipeline.command(*words, limit=20).expect(ExitCode.OK)
        pipeline.content["data"] = str(disk / "other")
        pipeline.write()
        assert "Read-only" in pipeline.command("run", limit=20).expect(ExitCode.CANNOT_CREATE).errors
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)
