"""The program from outside: one pipeline file in a folder of its own, and `tributary` commands on it."""

import copy
import dataclasses
import enum
import json
import os
import pathlib
import signal
import subprocess
import time

from . import processes
from .shop import SHOP_DOMAINS
from .waiting import wait_for
from .yaml_text import yaml_text

ROOT = pathlib.Path(__file__).resolve().parents[3]
COMMAND_LIMIT = 120   # seconds, for a command that is expected to end by itself
STOP_LIMIT = 30       # what the program promises after SIGTERM
START_LIMIT = 120     # on a loaded machine; on a quiet one a start takes a second


class ExitCode(enum.IntEnum):
    """docs/formats/exit-codes.md"""
    OK = 0
    DIFFERENCE = 1
    USAGE = 64
    DATA = 65
    UNAVAILABLE = 69
    INTERNAL = 70
    CANNOT_CREATE = 73
    TEMPORARY = 75
    NO_PERMISSION = 77
    CONFIG = 78


class CommandFailed(AssertionError):
    pass


@dataclasses.dataclass
class Done:
    """A command that has ended."""
    arguments: list
    exit_code: int
    output: str
    errors: str
    seconds: float

    def expect(self, exit_code):
        if self.exit_code != exit_code:
            raise CommandFailed(f"tributary {' '.join(self.arguments)}: exit code {self.exit_code}, expected {exit_code}\n"
                                f"output: {self.output[-4000:]}\nerrors: {self.errors[-4000:]}")
        return self


def json_lines(text):
    """One document a line. Not by splitlines(), which also ends a line where a text holds U+2028."""
    return [json.loads(line) for line in text.split("\n") if line]


def program():
    return os.environ.get("TRIBUTARY", str(ROOT / "build" / "tributary"))


class Pipeline:
    """`clients` maps an id to a Database, or to a dictionary as in the pipeline file (key `database` for the Database).

    Not thread-safe; start() wants the thread that lives longest, since the program dies with it.
    """

    def __init__(self, folder, name, clients, domains=None, views=None, settings=None, environment=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.file = self.folder / f"{name}.yaml"
        self.data = self.folder / "data"
        self.databases = {}
        self.environment = dict(environment or {})
        self.process = None
        self._runs = 0
        self.content = {"pipeline": name,
                        "clients": {client: self._client(client, options) for client, options in clients.items()},
                        "domains": domains or SHOP_DOMAINS}
        if views:
            self.content["views"] = views
        self.content.update({"serve": "127.0.0.1:0", "data": "./data", **(settings or {})})
        self.content = copy.deepcopy(self.content)  # tests change it, and give the same views to others
        self.write()

    def _client(self, client, options):
        options = dict(options) if isinstance(options, dict) else {"database": options}
        database = options.pop("database", None)
        if database:
            self.databases[client] = database
            options.setdefault("source", database.url())
            secret = f"PASSWORD_OF_{client.upper()}"
            if "password" not in options:
                self.environment[secret] = database.server.password
                options["password"] = f"${{env:{secret}}}"
        return {key: value for key, value in options.items() if value is not None}

    def write(self):
        """Writes the pipeline file from `content`."""
        self.file.write_text(yaml_text(self.content))

    # Commands that end.

    def command(self, command, *arguments, limit=COMMAND_LIMIT, environment=None):
        """Runs `tributary COMMAND FILE ARGUMENTS` to its end. Fails when that takes longer than `limit` seconds."""
        return self.program(command, self.file, *arguments, limit=limit, environment=environment)

    def program(self, *words, limit=COMMAND_LIMIT, environment=None):
        """Runs `tributary WORDS` to its end, in the pipeline's folder and environment."""
        words = [str(word) for word in words]
        begin = time.monotonic()
        run = subprocess.Popen(processes.guarded([program(), *words]), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                               cwd=self.folder, env={**os.environ, **self.environment, **(environment or {})})
        try:
            output, errors = run.communicate(timeout=limit)
        except subprocess.TimeoutExpired as expired:
            run.kill()
            output, errors = run.communicate()
            raise CommandFailed(f"tributary {' '.join(words)} did not end within {limit} s\noutput: {output[-4000:]}\n"
                                f"errors: {errors[-4000:]}\n{self.log_tail()}") from expired
        return Done(words, run.returncode, output, errors, time.monotonic() - begin)

    def run_until_caught_up(self, *arguments, limit=COMMAND_LIMIT):
        return self.command("run", "--until-caught-up", *arguments, limit=limit)

    def status(self):
        return json.loads(self.command("status", "--json", limit=60).expect(ExitCode.OK).output)

    def client_status(self, client):
        for entry in self.status()["clients"]:
            if entry["client"] == client:
                return entry
        raise KeyError(f"status names no client {client}")

    def query(self, client, sql):
        """The answer's rows as dictionaries."""
        done = self.command("query", "--client", client, sql, "--format", "JSONEachRow").expect(ExitCode.OK)
        return json_lines(done.output)

    def value(self, client, sql):
        rows = self.query(client, sql)
        return next(iter(rows[0].values())) if rows else None

    def count(self, client, view):
        return int(self.value(client, f"SELECT count() AS n FROM {view}"))

    def verify(self, *arguments, limit=COMMAND_LIMIT):
        return self.command("verify", *arguments, limit=limit)

    def verify_clean(self, *arguments, limit=COMMAND_LIMIT):
        return self.verify(*arguments, limit=limit).expect(ExitCode.OK)

    def events(self, pattern="*", client=None, store=None, limit=COMMAND_LIMIT):
        """Every event that the log (store="raw": the raw store) holds now, as dictionaries."""
        arguments = [pattern, "--from", "start", "--until-caught-up"]
        arguments += ["--client", client] if client else []
        arguments += ["--store", store] if store else []
        done = self.command("tap", *arguments, limit=limit).expect(ExitCode.OK)
        return json_lines(done.output)

    # The program in the background.

    @property
    def run_log(self):
        return self.folder / f"run-{self._runs}.log"

    def start(self, *arguments, environment=None):
        """`tributary run` in the background; returns at once. What it prints goes to run-N.log."""
        if self.process and self.process.poll() is None:
            raise RuntimeError("the pipeline runs already")
        self._runs += 1
        with self.run_log.open("wb") as log:
            self.process = subprocess.Popen(
                processes.guarded([program(), "run", str(self.file), *arguments]), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True,  # Ctrl-C is ours to handle
                env={**os.environ, **self.environment, **(environment or {})})
        return self

    def start_and_wait(self, *states, limit=START_LIMIT):
        """Starts, and returns when every client is in one of `states` (default: streaming, its snapshot done)."""
        self.start()
        self.wait_state(*states, limit=limit)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def terminate(self, limit=STOP_LIMIT, number=signal.SIGTERM):
        """Sends the signal. Returns exit code and seconds; fails when it takes longer than `limit`."""
        begin = time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired as expired:
            self.kill()
            raise CommandFailed(f"tributary run did not stop within {limit} s of {number.name}\n{self.log_tail()}") from expired
        return code, time.monotonic() - begin

    def kill(self):
        """SIGKILL to the program alone; its engine child has to notice by itself. Returns when the program is gone."""
        if self.running():
            self.process.kill()
        if self.process:
            self.process.wait()

    def engine_pid(self):
        """The child process that holds the analytics engine, or None."""
        if not self.running():
            return None
        return next((pid for pid in processes.descendants(self.process.pid) if processes.maps_library(pid, "libchdb")),
                    None)

    def close(self):
        """For the end of a test: stops what runs, hard where it must."""
        if self.running():
            processes.stop(self.process, signal.SIGTERM, STOP_LIMIT)

    def log_text(self):
        """What all runs printed."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("run-*.log")))

    def log_tail(self, lines=40):
        return "\n".join(self.log_text().splitlines()[-lines:])

    # Waiting.

    def _alive(self):
        if self.process and not self.running():
            raise CommandFailed(f"tributary run ended with {self.process.returncode}\n{self.log_tail()}")

    def wait_status(self, condition, limit, what):
        """Waits until condition(status) gives something true, and returns that; `status` fails it while starting."""
        last = {}

        def reached():
            self._alive()
            done = self.command("status", "--json", limit=60)
            if done.exit_code != ExitCode.OK:
                last["status"] = done.errors
                return None
            last["status"] = json.loads(done.output)
            return condition(last["status"])

        return wait_for(reached, limit, what, seen=lambda: (last.get("status"), self.log_tail(10)))

    def wait_state(self, *states, client=None, limit=START_LIMIT):
        states = states or ("streaming",)

        def reached(status):
            entries = [entry for entry in status["clients"] if client in (None, entry["client"])]
            return status["running"] and entries and all(entry["state"] in states for entry in entries)

        return self.wait_status(reached, limit, f"{client or 'every client'} to be {' or '.join(states)}")

    def wait_queryable(self, limit=120):
        """Waits until all that is committed now in the running clients' databases is queryable."""
        self._alive()
        done = self.command("wait", "--seconds", limit, limit=limit + 20)
        if done.exit_code != ExitCode.UNAVAILABLE or "stopped and not caught up" not in done.errors:
            done.expect(ExitCode.OK)
