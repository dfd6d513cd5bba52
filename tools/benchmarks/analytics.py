"""analytics: rows into the analytics store by rows an INSERT and compression, and the parts that they make a minute."""

import json
import pathlib
import subprocess

from . import measuring

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(_, options, _folder):
    options.say("building clickhouse_insert_bench …")
    subprocess.run([ROOT / "tools" / "build.sh", "clickhouse_insert_bench"], check=True)
    done = subprocess.run([ROOT / "build" / "release" / "clickhouse_insert_bench"], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise measuring.CommandFailed(f"clickhouse_insert_bench ended with {done.returncode}: {done.stderr[-2000:]}")
    return {"machine": measuring.machine(None), "analytics": json.loads(done.stdout)}


def report(result):
    lines = [f"  {'table':<10} {'body':<6} {'rows':>8} {'ms':>8} {'rows/s':>10} {'own us/row':>11} {'engine us/row':>14}"]
    for one in result["analytics"]["inserts"]:
        lines.append(f"  {one['table']:<10} {one['compression']:<6} {one['rows']:>8,} {one['encode_ms'] + one['insert_ms']:>8.1f} "
                     f"{one['rows_per_second']:>10,.0f} {one['own_us_a_row']:>11.2f} {one['engine_us_a_row']:>14.2f}")
    for one in result["analytics"]["parts"]:
        lines.append(f"  {one['clients']:,} clients, {one['rows_per_second']:,} rows/s: {one['parts_a_minute']:,} parts a minute")
    return lines
