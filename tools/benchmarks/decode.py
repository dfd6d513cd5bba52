"""decode: Debezium's JSON into columns, on one core, beside simdjson looking at every token of the same bytes."""

import json
import pathlib
import subprocess

from . import measuring

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "release"


def run(_, options, folder):
    options.say("building debezium_bench …")
    subprocess.run([ROOT / "tools" / "build.sh", "debezium_bench"], check=True)
    output = pathlib.Path(folder) / "decode.json"
    done = subprocess.run([BUILD / "debezium_bench", "--benchmark_min_time=2", f"--benchmark_repetitions={options.runs}",
                           f"--benchmark_out={output}", "--benchmark_out_format=json"], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise measuring.CommandFailed(f"debezium_bench ended with {done.returncode}: {done.stderr[-2000:]}")
    figures = {}
    for entry in json.loads(output.read_text())["benchmarks"]:
        # A single repetition has no aggregates: it is the median.
        if entry.get("aggregate_name") == "median" or (options.runs == 1 and entry["run_type"] == "iteration"):
            figures[entry["run_name"]] = {"events_per_cpu_second": entry["events/s"],
                                          "bytes_per_cpu_second": entry["bytes_per_second"]}
    return {"machine": measuring.machine(None), "decode": figures}


def report(result):
    lines = [f"  {'':<24} {'events/CPU s':>13} {'MB/CPU s':>10}"]
    for name, figures in result["decode"].items():
        lines.append(f"  {name:<24} {figures['events_per_cpu_second']:>13,.0f} {figures['bytes_per_cpu_second'] / 1e6:>10,.0f}")
    for kind in ("without_schemas", "with_schemas"):
        ours, theirs = result["decode"][f"decode/{kind}"], result["decode"][f"parse/{kind}"]
        lines.append(f"  decoding / simdjson alone, {kind.replace('_', ' ')}: "
                     f"{ours['bytes_per_cpu_second'] / theirs['bytes_per_cpu_second']:.2f}")
    return lines
