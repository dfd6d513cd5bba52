"""replay: all of raw into new tables beside the live ones, against the drain that brought it there."""

import json
import os
import subprocess

from harness.pipeline import program

from . import measuring
from .backlog import Backlog
from .capture import drain, paired

FILTER_VIEWS = {"big": {"sql": "SELECT * FROM rows WHERE id % 10 <> 3"},
                "accounts_now": {"sql": "SELECT * FROM accounts"}}


def run(_, options, folder):
    backlog = Backlog(folder, options.rows, options.updates)
    try:
        backlog.pipeline.content["views"] = FILTER_VIEWS
        backlog.pipeline.write()
        options.say(f"writing a backlog of {backlog.inserts:,} inserts and {backlog.updates:,} one-row transactions …")
        backlog.make()
        # The replay of a round is that of what its drain, or the one before, brought.
        contestants = {"live drain": lambda: drain(backlog, []), "tributary": lambda: replay(backlog)}
        drain(backlog, [])
        runs = paired(contestants, options, backlog.rows)
        return {"machine": measuring.machine(backlog.server), "rows": backlog.rows, "inserts": backlog.inserts,
                "updates": backlog.updates, "runs": runs}
    finally:
        backlog.close()


def replay(backlog):
    command = [program(), "replay", str(backlog.pipeline.file)]
    measured = measuring.measure(command, backlog.server, backlog.database, backlog.pipeline.environment)
    release = [program(), "release", str(backlog.pipeline.file)]
    environment = {**os.environ, **backlog.pipeline.environment}
    made = json.loads(subprocess.run([*release, "list", "--json"], env=environment, capture_output=True, check=True).stdout)
    (number,) = [one["number"] for one in made["releases"] if one["state"] == "ready"]
    subprocess.run([*release, "drop", str(number)], env=environment, capture_output=True, check=True)
    return measured
