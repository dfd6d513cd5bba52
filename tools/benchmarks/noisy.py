"""noisy: one client of 21 at 100 × the others' rate: whose partitions it touches, and how long the others' rows take.

With shuffle sharding (each client in 3 of 12 partitions of a topic) and with plain hashing (everybody in all 12), and
without the noise. A row's delay is from its commit's return to the answer that has it, a query's own duration included.
"""

import threading
import time

from harness import Pipeline, Postgres
from harness.shop import own

from . import measuring

CLIENTS = 20  # beside the noisy one
RATE = 20  # rows a second of each
NOISE = 100  # times that
PARTITIONS = 12
LAYOUTS = {"shuffle sharding": 3, "plain hashing": PARTITIONS}
SCHEMA = "CREATE TABLE things (id bigint PRIMARY KEY, note text NOT NULL)"
SEED = "INSERT INTO things SELECT g, md5(g::text) FROM generate_series(1, 200) g"
MARK = 1_000_000_000


def run(_, options, folder):
    server = Postgres({"shared_buffers": "256MB", "max_connections": "200"}).start()
    try:
        databases = {}
        for name in ["noisy", *(f"quiet{number:02}" for number in range(CLIENTS))]:
            databases[name] = server.create_database(name)
            own(databases[name], SCHEMA)
            databases[name].execute(SEED)
        cases = {}
        for number, (layout, each) in enumerate(LAYOUTS.items()):
            pipeline = Pipeline(folder / str(number), f"noisy{number}", databases,
                                domains={"things": {"table": "public.things", "event": "thing"}},
                                settings={"log": {"at": "embedded", "partitions": PARTITIONS, "partitions_per_client": each}})
            pipeline.start_and_wait()
            pipeline.wait_queryable(limit=300)
            try:
                cases[layout] = {**touched(pipeline), "alone": delays(pipeline, databases, options, 1),
                                 "beside the noise": delays(pipeline, databases, options, NOISE)}
                options.say(f"{layout}: {cases[layout]}")
            finally:
                pipeline.close()
            for database in databases.values():
                database.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s",
                                 (database.name,))
                database.execute("DELETE FROM things WHERE id > 200")
        return {"machine": measuring.machine(server), "noisy": cases}
    finally:
        server.remove()


def report(result):
    """The figures as lines to read."""
    lines = []
    for layout, case in result["noisy"].items():
        lines.append(f"  {layout}: the noisy client is in partitions of {case['touched']} of {CLIENTS} others, in all of "
                     f"{case['wholly_touched']}'s, in {case['partitions_touched']:.0%} of theirs")
        for name in ("alone", "beside the noise"):
            lines.append(f"    {name:<17} p50 {case[name]['p50_ms']:,.0f} ms, p99 {case[name]['p99_ms']:,.0f} ms, "
                         f"max {case[name]['max_ms']:,.0f} ms of {case[name]['rows']} rows")
    return lines


def touched(pipeline):
    """By the log's own word: which partitions each client's rows are in."""
    of = {}
    for event in pipeline.events(limit=300):
        of.setdefault(event["client_id"], set()).add(event["partition"])
    noisy = of.pop("noisy")
    return {"touched": sum(1 for partitions in of.values() if partitions & noisy),
            "wholly_touched": sum(1 for partitions in of.values() if partitions <= noisy),
            "partitions_touched": sum(len(partitions & noisy) for partitions in of.values()) /
                                  sum(len(partitions) for partitions in of.values())}


def delays(pipeline, databases, options, noise):
    """Marks of one quiet client after the other, while all of them write at their rate."""
    stopping = threading.Event()
    writers = [threading.Thread(target=write, args=(databases[name], RATE * (noise if name == "noisy" else 1), stopping))
               for name in databases]
    for writer in writers:
        writer.start()
    found = []
    try:
        begin = time.monotonic()
        quiet = [name for name in databases if name != "noisy"]
        while time.monotonic() - begin < options.seconds:
            name = quiet[len(found) % len(quiet)]
            mark = databases[name].value("SELECT greatest(max(id), %s) + 1 FROM things", (MARK,))
            databases[name].execute("INSERT INTO things VALUES (%s, 'mark')", (mark,))
            committed = time.monotonic()
            while not pipeline.value(name, f"SELECT count() AS n FROM things WHERE id = {mark}"):
                if time.monotonic() - committed > 120:
                    raise measuring.CommandFailed(f"a row of {name} is not queryable after two minutes")
            found.append(time.monotonic() - committed)
    finally:
        stopping.set()
        for writer in writers:
            writer.join()
    found.sort()
    return {"rows": len(found), "p50_ms": measuring.percentile(found, 0.5) * 1000,
            "p99_ms": measuring.percentile(found, 0.99) * 1000, "max_ms": found[-1] * 1000}


def write(database, rate, stopping):
    """Ten transactions a second."""
    rows = max(1, rate // 10)
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM things WHERE id < %s", (MARK,))
        begin, first = time.monotonic(), cursor.fetchone()[0]
        last = first
        while not stopping.is_set():
            cursor.execute("INSERT INTO things SELECT g, md5(g::text) FROM generate_series(%s, %s) g", (last + 1, last + rows))
            last += rows
            time.sleep(max(0.0, begin + (last - first) / rate - time.monotonic()))
    connection.close()
