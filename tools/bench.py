#!/usr/bin/env python3
"""./dev bench NAME: measures one thing on databases of its own, beside its reference, in one run on this machine.

    capture   a backlog of inserts and one-row transactions into the log; pg_recvlogical, a raw peek beside it
    load      the snapshot of a table into the log; COPY … TO beside it
    pipeline  the backlog until queryable, CPU seconds by thread
    latency   commit to queryable at a steady rate: p50, p95, p99
    memory    at 1, 10 and 100 clients
    process   events per CPU second and bytes of state a row, by operator; Flink SQL beside it
    replay    everything in raw into new tables beside the live ones; the live drain beside it
    analytics rows into the analytics store by rows an INSERT and compression; parts a minute by clients
    raw       events into the raw store and back, embedded and on servers of MongoDB's protocol, by events a write
    query     a dashboard's questions on 10 million rows of which a tenth was updated, while rows arrive; a plain table beside
    decode    Debezium's JSON into columns on one core; simdjson alone beside it
    idle      the share of a core that 100 clients with one row a second each cost, through ten views
    noisy     one client at 100 times the others' rate: whose partitions it touches, and their delay
    all       all of them, one after the other

    ./dev bench capture --json capture.json
    ./dev bench capture --log kafka          into a broker's topics; Debezium's connector, tuned, beside it

Contestants take turns; the figures are medians over --runs rounds. What was measured last is in docs/benchmarks.md.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "end_to_end"))

from arguments import Arguments  # noqa: E402
from benchmarks import analytics, capture, capture_kafka, decode, idle, latency, load, measuring, memory, noisy, process, query, raw, replay  # noqa: E402
from harness import ExitCode, NotReached  # noqa: E402
from harness.pipeline import CommandFailed, program  # noqa: E402

BENCHMARKS = {"capture": capture.run, "load": load.run, "pipeline": capture.run, "latency": latency.run,
              "memory": memory.run, "process": process.run,
              "replay": replay.run, "idle": idle.run, "decode": decode.run, "query": query.run,
              "analytics": analytics.run, "raw": raw.run, "noisy": noisy.run}
MIB = 1 << 20


def report(name, result):
    """The result as lines to read."""
    machine = result["machine"]
    lines = [f"{name}, on {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, "
             f"PostgreSQL {machine['postgresql']}, commit {machine['commit']}"]
    if "runs" in result:
        lines += table_of_runs(result["runs"])
    if "cases" in result:
        lines += process.report(result)
    if "noisy" in result:
        lines += noisy.report(result)
    if "kafka" in result:
        lines += capture_kafka.report(result)
    if "analytics" in result:
        lines += analytics.report(result)
    if "raw" in result:
        lines += raw.report(result)
    if "questions" in result:
        lines += query.report(result)
    if "decode" in result:
        lines += decode.report(result)
    for key in ("start_to_one_event_seconds", "bytes_per_idle_client", "rows_per_second", "p50_ms", "p95_ms", "p99_ms",
                "max_ms", "query_p50_ms", "core_share", "engine_core_share"):
        if key in result:
            lines.append(f"  {key.replace('_', ' ')}: {result[key]:,.2f}")
    if "core_share_by_thread" in result:
        lines.append(f"  core share by thread: {result['core_share_by_thread']}")
    for figure in result.get("figures", []):
        lines.append(f"  {figure['clients']} clients: idle {figure['idle_bytes'] / MIB:.1f} MiB, working "
                     f"{figure['working_bytes'] / MIB:.1f} MiB, engine {(figure['engine_bytes'] or 0) / MIB:.0f} MiB")
    return lines


def table_of_runs(runs):
    lines = [f"  {'median of':<24} {'runs':>4} {'seconds':>8} {'rows/s':>11} {'own CPU s':>10} {'server CPU s':>13} "
             f"{'temp MB':>8} {'spill MB':>9} {'peak MiB':>9}"]
    for contestant, measured in runs.items():
        if not measured:
            lines.append(f"  {contestant:<24}    - failed or not available")
            continue
        figures = {key: measuring.median_of(measured, key) for key in measured[0] if key != "cpu_by_thread"}
        lines.append(f"  {contestant:<24} {len(measured):>4} {figures['seconds']:>8.2f} {figures['rows_per_second']:>11,.0f} "
                     f"{figures['cpu_seconds']:>10.2f} {figures['server_cpu_seconds']:>13.2f} "
                     f"{figures['server_temporary_bytes'] / 1e6:>8.0f} {figures['server_spilled_bytes'] / 1e6:>9.0f} "
                     f"{figures['resident_bytes_max'] / MIB:>9.0f}")
    ours = runs.get("tributary")
    if ours:
        for contestant, measured in runs.items():
            if measured and contestant != "tributary":
                ratios = sorted(one["rows_per_second"] / other["rows_per_second"]
                                for one, other in zip(ours, measured))
                lines.append(f"  tributary / {contestant}: {ratios[len(ratios) // 2]:.2f}, median of pairs")
        lines.append("  own CPU by thread, last run: " +
                     ", ".join(f"{name} {seconds:.2f} s" for name, seconds in ours[-1]["cpu_by_thread"].items()))
    return lines


def count(text):
    number = int(text)
    if not 1 <= number <= 10**9:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 1,000,000,000")
    return number


def seconds(text):
    number = float(text)
    if not 1 <= number <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 second to a day")
    return number


def parse_arguments():
    parser = Arguments(prog="./dev bench", description=__doc__,
                       formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[*BENCHMARKS, "all"])
    parser.add_argument("--json", type=pathlib.Path, help="write the result to this file too")
    parser.add_argument("--rows", type=count, default=1_000_000, help="rows inserted (default 1,000,000)")
    parser.add_argument("--updates", type=count, default=200_000, help="one-row transactions (default 200,000)")
    parser.add_argument("--runs", type=count, default=3, help="rounds (default 3)")
    parser.add_argument("--rate", type=count, default=5000, help="latency: rows a second (default 5,000)")
    parser.add_argument("--seconds", type=seconds, default=60, help="latency, idle: how long, after a warm-up (default 60)")
    parser.add_argument("--case", help="process, query: only cases with this in their name")
    parser.add_argument("--log", choices=["embedded", "kafka"], default="embedded", help="capture: into which log")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="process: without Flink; capture: without Debezium")
    parser.add_argument("--no-cold", dest="cold", action="store_false", help="process: only with state in the cache")
    options = parser.parse_args()
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    options.say = lambda text: print(f"bench: {text}", file=sys.stderr, flush=True)
    return options


def main():
    options = parse_arguments()
    if not os.access(program(), os.X_OK):
        options.say(f"{program()} is not there; run ./dev build")
        return ExitCode.UNAVAILABLE
    names = list(BENCHMARKS) if options.name == "all" else [options.name]
    results = {}
    code = ExitCode.OK
    for name in names:
        with tempfile.TemporaryDirectory(prefix="tributary-bench-") as folder:
            try:
                results[name] = BENCHMARKS[name](name, options, pathlib.Path(folder))
            except (CommandFailed, NotReached, measuring.CommandFailed) as error:
                options.say(f"{name} failed: {error}")
                code = ExitCode.INTERNAL
                continue
        print("\n".join(report(name, results[name])), flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=2) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
