"""latency: from a commit's return to its rows in a query's answer, at a steady rate.

One thread commits transactions of equal size and notes when each commit returned. Another asks for the number of rows
again and again; a transaction is queryable when an answer counts it. The time of the answer is taken, so the query's
own duration, a process each, is part of the figure, and up to one query's duration is waiting for the next.
"""

import bisect
import threading
import time

from harness import Pipeline, Postgres
from harness.shop import own

from . import measuring
from .backlog import ROW, SCHEMA, SERVER_SETTINGS

TRANSACTIONS_PER_SECOND = 100
WARM_UP = 10  # seconds


def run(_, options, folder):
    server = Postgres({**SERVER_SETTINGS, "autovacuum": "on"}).start()
    try:
        database = server.create_database("bench")
        own(database, SCHEMA)
        pipeline = Pipeline(folder / "pipeline", "bench", {"bench": database},
                            domains={"rows": {"table": "public.bench_rows", "event": "row"}})
        pipeline.start_and_wait()
        pipeline.wait_queryable()
        try:
            result = observe(pipeline, database, options)
        finally:
            pipeline.close()
        return {"machine": measuring.machine(server), **result}
    finally:
        server.remove()


def observe(pipeline, database, options):
    commits, answers = [], []  # (rows so far, time)
    stopping = threading.Event()

    def ask():
        while not stopping.is_set():
            begin = time.monotonic()
            count = pipeline.count("bench", "rows")
            answers.append((count, time.monotonic(), time.monotonic() - begin))

    asker = threading.Thread(target=ask)
    asker.start()
    write(database, options, commits)
    written = commits[-1][0]
    limit = time.monotonic() + 60
    while time.monotonic() < limit and (not answers or answers[-1][0] < written):
        time.sleep(0.05)
    stopping.set()
    asker.join()
    if not answers or answers[-1][0] < written:
        raise measuring.CommandFailed(f"{written:,} rows were written, {answers[-1][0] if answers else 0:,} are queryable a "
                                      "minute later")
    delays = delays_of(commits, answers)
    return {"rows_per_second_wanted": options.rate, "rows_per_second": rate_of(commits), "transactions": len(delays),
            "p50_ms": measuring.percentile(delays, 0.50) * 1000, "p95_ms": measuring.percentile(delays, 0.95) * 1000,
            "p99_ms": measuring.percentile(delays, 0.99) * 1000, "max_ms": delays[-1] * 1000,
            "query_p50_ms": measuring.percentile(sorted(answer[2] for answer in answers), 0.5) * 1000}


def write(database, options, commits):
    """Commits at a steady rate; a commit that comes late is followed at once, so that the rate holds."""
    rows = options.rate // TRANSACTIONS_PER_SECOND
    connection = database.connect()
    begin = time.monotonic()
    total = 0
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE write (bigint, bigint) AS INSERT INTO bench_rows SELECT {ROW} FROM generate_series($1, $2) g")
        while time.monotonic() - begin < WARM_UP + options.seconds:
            cursor.execute("EXECUTE write (%s, %s)", (total + 1, total + rows))
            total += rows
            commits.append((total, time.monotonic()))
            time.sleep(max(0.0, begin + total / options.rate - time.monotonic()))
    connection.close()


def rate_of(commits):
    (first_rows, first), (last_rows, last) = commits[0], commits[-1]
    return (last_rows - first_rows) / (last - first)


def delays_of(commits, answers):
    """Seconds from each commit after the warm-up to the first answer that counts it, sorted."""
    counts = []
    for count, _, _ in answers:  # rising, also where an answer overtook another
        counts.append(max(count, counts[-1] if counts else 0))
    delays = []
    for rows, committed in commits:
        at = bisect.bisect_left(counts, rows)
        if committed - commits[0][1] >= WARM_UP and at < len(answers):
            delays.append(answers[at][1] - committed)
    return sorted(delays)
