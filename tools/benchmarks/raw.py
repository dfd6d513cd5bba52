"""raw: events into the raw store and back, embedded and on two servers of MongoDB's protocol, by events a write."""

import json
import os
import pathlib
import subprocess

from harness import MongoServer

from . import measuring

ROOT = pathlib.Path(__file__).resolve().parents[2]
EVENTS = {"embedded": 100_000, "h2": 20_000, "nx": 2_000, "mongodb": 100_000}


def measure(store, uri=None, server=None):
    command = [str(ROOT / "build" / "release" / "raw_store_bench"), str(EVENTS[store]), *([f"{uri}/bench"] if uri else [])]
    cpu = server.cpu_seconds() if server else 0
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise measuring.CommandFailed(f"raw_store_bench ended with {done.returncode}: {done.stderr[-2000:]}")
    lines = [{"store": store, **json.loads(line)} for line in done.stdout.splitlines()]
    if server:
        written = sum(line["events"] for line in lines if line["what"] == "write")
        lines.append({"store": store, "what": "server CPU, written and read", "events_a_write": 0, "events": written,
                      "events_per_second": 0, "own_us_an_event": (server.cpu_seconds() - cpu) / written * 1e6})
    return lines


def run(_, options, _folder):
    options.say("building raw_store_bench …")
    subprocess.run([ROOT / "tools" / "build.sh", "raw_store_bench"], check=True)
    lines = measure("embedded")
    for kind in ("h2", "nx"):
        options.say(f"starting the {kind} server …")
        server = MongoServer(kind, options=["-Xmx1g"] if kind == "h2" else None)
        try:
            server.start()
            lines += measure(kind, server.uri, server)
        finally:
            server.remove()
    if uri := os.environ.get("TRIBUTARY_TEST_MONGODB"):
        lines += measure("mongodb", uri)
    return {"machine": measuring.machine(None), "raw": lines}


def report(result):
    lines = [f"  {'store':<9} {'what':<29} {'a write':>8} {'events':>8} {'events/s':>10} {'CPU us/event':>13}"]
    for one in result["raw"]:
        lines.append(f"  {one['store']:<9} {one['what']:<29} {one['events_a_write']:>8,} {one['events']:>8,} "
                     f"{one['events_per_second']:>10,} {one['own_us_an_event']:>13.2f}")
    return lines
