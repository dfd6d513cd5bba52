"""process: what processing costs, by operator: events per CPU second and bytes of state a row, Flink SQL beside it.

bench/process_bench measures from blocks in the log to rows in the outbox. Flink reads the same changes as Debezium's JSON
from files and writes to its blackhole; what reading alone costs it is case `plain`, which its other figures are also given
without.
"""

import json
import pathlib
import subprocess
import time

from harness import FlinkSql, TRADE_VIEWS, processes

from . import measuring

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARM_CACHE = 256 << 20
COLD_WRITE_BUFFERS = 16 << 20
COLD_SHARE = 10  # state ÷ cache
CHANGES_PER_ORDER = 2

SHOP_VIEWS = {
    "customers": "SELECT id, lower(trim(email)) AS email, upper(trim(country)) AS country, balance, client.plan AS plan FROM users",
    "sales": "SELECT id, user_id, status, CAST(total_cents AS DECIMAL(18,2)) * 0.01 AS total, client.currency AS currency, "
             "placed_at FROM orders WHERE status <> 'test'",
    "sold_items": "SELECT order_id, line, sku, quantity, quantity * price_cents AS cents FROM order_items",
    "catalogue": "SELECT sku, title, CAST(price_cents AS DECIMAL(18,2)) * 0.01 AS price FROM products",
}
FIRST = ("SELECT id, user_id, status, total_cents, note, placed_at FROM (SELECT *, row_number() OVER (PARTITION BY user_id "
         "ORDER BY placed_at DESC, id DESC) AS place FROM orders) WHERE place = 1")
SUMS = "count(*) AS orders, sum(total_cents) AS cents FROM orders GROUP BY"

ORDERS = "id BIGINT, user_id BIGINT, status STRING, total_cents BIGINT, note STRING, placed_at BIGINT"

# case → mix of changes, views; where Flink is asked too: its sink's columns, its query where it is another one
CASES = {
    "plain, nothing kept": ("payments:1", {"v": "SELECT * FROM payments"}),
    "plain": ("orders:1", {"v": "SELECT * FROM orders"}, ORDERS),
    "filter": ("orders:1", {"v": "SELECT id, user_id, CAST(total_cents AS DECIMAL(18,2)) * 0.01 AS total, upper(status) AS "
                                 "status FROM orders WHERE status <> 'test'"},
               "id BIGINT, user_id BIGINT, total DECIMAL(38,4), status STRING"),
    "dedupe": ("orders:1", {"v": "SELECT * FROM orders QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY placed_at "
                                 "DESC, id DESC) = 1"}, ORDERS, FIRST),
    "join": ("orders:99,users:1", {"v": "SELECT o.id, o.total_cents, o.status, u.country FROM orders o JOIN users u ON "
                                        "u.id = o.user_id"}, "id BIGINT, total_cents BIGINT, status STRING, country STRING"),
    "aggregate, few hot groups": ("orders:1", {"v": f"SELECT status, {SUMS} status"},
                                  "status STRING, orders BIGINT, cents BIGINT"),
    "aggregate, many cold groups": ("orders:1", {"v": f"SELECT user_id, {SUMS} user_id"},
                                    "user_id BIGINT, orders BIGINT, cents BIGINT"),
    "the demo's plan": ("orders:30,order_items:60,users:1,products:1,suppliers:0,supplies:1,countries:0",
                        {**SHOP_VIEWS, **{name: sql for name, (sql, _) in TRADE_VIEWS.items()}}),
}
SMALLER = {"the demo's plan": 10}  # times fewer rows
FLINK_COLUMNS = {
    "orders": ORDERS,
    "users": "id BIGINT, email STRING, country STRING, balance DECIMAL(12,2)",
}
# As Flink's documentation has it: "Performance Tuning" of streaming aggregations, "Large State Tuning".
FLINK_SETTINGS = """
SET 'parallelism.default' = '1';
SET 'pipeline.object-reuse' = 'true';
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '1 s';
SET 'table.exec.mini-batch.size' = '20000';
SET 'table.optimizer.agg-phase-strategy' = 'TWO_PHASE';
SET 'taskmanager.memory.managed.size' = '512m';
SET 'execution.checkpointing.interval' = '2 s';
SET 'execution.checkpointing.incremental' = 'true';
"""


def run(_, options, folder):
    subprocess.run([ROOT / "tools" / "build.sh", "process_bench"], check=True)
    cases = {}
    for name, case in CASES.items():
        if options.case and options.case not in name:
            continue
        rows = options.rows // SMALLER.get(name, 1)
        runs = [ours(case, rows, folder) for _ in range(options.runs)]
        cases[name] = {"warm": median(runs)}
        if runs[0]["state_bytes"] and options.cold:
            cold = ["--cache-bytes", str(runs[0]["state_bytes"] // COLD_SHARE), "--write-buffer-bytes", str(COLD_WRITE_BUFFERS)]
            cases[name]["cold"] = median([ours(case, rows, folder, cold) for _ in range(options.runs)])
        if options.peers and len(case) > 2:
            for backend in ("hashmap", "rocksdb"):
                cases[name][f"flink {backend}"] = flink(case, rows, folder, backend)
        options.say(f"{name}: " + ", ".join(f"{what} {one['events_per_cpu_second']:,.0f}" for what, one in cases[name].items()))
    return {"machine": measuring.machine(None), "cases": cases}


def arguments(case, rows):
    return ["--mix", case[0], "--orders", str(rows // CHANGES_PER_ORDER), "--changes", str(rows)]


def ours(case, rows, folder, more=()):
    views = folder / "views.txt"
    views.write_text("".join(name + "\t" + " ".join(sql.split()) + "\n" for name, sql in case[1].items()))
    done = subprocess.run([ROOT / "build/release/process_bench", *arguments(case, rows), "--views", views,
                           "--folder", folder, *more], check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    for phase in (result["fill"], result["changes"]):
        phase["events_per_cpu_second"] = phase["events"] / phase["cpu_seconds"]
    result["events_per_cpu_second"] = result["changes"]["events_per_cpu_second"]
    result["state_bytes_per_row"] = result["state_bytes"] / result["rows"]
    return result


def median(runs):
    return sorted(runs, key=lambda one: one["events_per_cpu_second"])[len(runs) // 2]


def flink(case, rows, folder, backend):
    """Fill and changes in one job. CPU seconds of the process from the job's start to its end."""
    mix, views, sink, *other = case
    changes = folder / "changes"
    changes.mkdir(exist_ok=True)
    made = subprocess.run([ROOT / "build/release/process_bench", *arguments(case, rows), "--debezium", changes],
                          check=True, capture_output=True, text=True)
    script = FLINK_SETTINGS + f"SET 'state.backend.type' = '{backend}';\n"
    script += f"SET 'execution.checkpointing.dir' = 'file://{folder}/checkpoints';\n"
    for domain in mix.split(","):
        domain = domain.split(":")[0]
        script += (f"CREATE TABLE {domain} ({FLINK_COLUMNS[domain]}, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = "
                   f"'filesystem', 'path' = 'file://{changes}/{domain}.json', 'format' = 'debezium-json');\n")
    script += f"CREATE TABLE nothing ({sink}) WITH ('connector' = 'blackhole');\n"
    script += f"INSERT INTO nothing {other[0] if other else views['v']};\n"
    return measure_flink(script, json.loads(made.stdout)["events"])


def measure_flink(script, events):
    server = FlinkSql(options=["-Xmx3g"])
    try:
        server.start(script)
        pid = server.process.pid
        begin, start_cpu, cpu = time.monotonic(), processes.cpu_seconds(pid), 0.0
        while server.process.poll() is None:
            cpu = max(cpu, processes.cpu_seconds(pid) if pathlib.Path(f"/proc/{pid}/stat").exists() else 0.0)
            time.sleep(measuring.SAMPLE_INTERVAL)
        if server.process.returncode != 0:
            raise measuring.CommandFailed(f"Flink: {server.log_tail(30)}")
        return {"events": events, "cpu_seconds": cpu - start_cpu, "seconds": time.monotonic() - begin,
                "events_per_cpu_second": events / (cpu - start_cpu)}
    finally:
        server.remove()


def report(result):
    """The result as lines to read."""
    lines = [f"  {'events per CPU second':<30} {'inserts':>11} {'changes':>11} {'state B/row':>12} {'state 10 x cache':>17} "
             f"{'Flink hashmap':>14} {'Flink RocksDB':>14}"]
    for name, case in result["cases"].items():
        def figure(what, case=case):
            return f"{case[what]['events_per_cpu_second']:,.0f}" if what in case else "-"
        lines.append(f"  {name:<30} {case['warm']['fill']['events_per_cpu_second']:>11,.0f} {figure('warm'):>11} "
                     f"{case['warm']['state_bytes_per_row']:>12.0f} {figure('cold'):>17} {figure('flink hashmap'):>14} "
                     f"{figure('flink rocksdb'):>14}")
    return lines
