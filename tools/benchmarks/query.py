"""query: a dashboard's questions on the current rows of one client of twenty, while rows arrive.

One table is as the sink makes it: versions, tombstones, 10 % of the rows updated since. Beside it a plain MergeTree without
any of that, of the same rows, which gets as many new ones. The same questions go to both, to the first one by each way of
taking the newest version that ClickHouse has. All take turns, through the same socket.
"""

import http.client
import random
import socket
import threading
import time

from harness import ClickHouseServer

from . import measuring

CLIENTS = 20
UPDATED_SHARE = 0.1
RATE = 20_000  # rows a second that arrive
ARRIVALS = 5  # INSERTs of them a second, as the sink gathers rows
DATABASE = "bench"

COLUMNS = """client_id LowCardinality(String), id Int64, user_id Nullable(Int64), status Nullable(String),
  country Nullable(String), total Nullable(Decimal(18, 2)), placed_at Nullable(DateTime64(6, 'UTC'))"""
TECHNICAL = """, _key String, _version UInt256, _deleted UInt8, _unrepresentable Map(LowCardinality(String), String)"""
SETTINGS = "allow_nullable_key = 1, fsync_after_insert = 1, fsync_part_directory = 1"
VALUES = """concat('client_', toString(id % {clients})) AS client_id, id, id % 50000 AS user_id,
  ['new', 'paid', 'shipped', 'returned'][(id + {salt}) % 4 + 1] AS status, ['de', 'fr', 'us', 'jp', 'br'][id % 5 + 1] AS country,
  toDecimal64((id * 7 + {salt}) % 100000, 2) / 100 AS total,
  toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + toIntervalSecond(id % 31536000) AS placed_at"""

QUESTIONS = {
    "count": "SELECT count() FROM {rows}",
    "by status": "SELECT status, count(), sum(total) FROM {rows} GROUP BY status",
    "by day": "SELECT toDate(placed_at) AS day, sum(total) FROM {rows} WHERE placed_at >= '2026-11-01' GROUP BY day ORDER BY day",
    "top users": "SELECT user_id, sum(total) AS t FROM {rows} WHERE country = 'de' GROUP BY user_id ORDER BY t DESC LIMIT 10",
    "one row": "SELECT * FROM {rows} WHERE id = {id}",
    "latest": "SELECT id, status, total FROM {rows} ORDER BY placed_at DESC LIMIT 20",
}
NAMES = "id, user_id, status, country, total, placed_at"
CURRENT = "(SELECT " + NAMES + " FROM {table} FINAL WHERE client_id = 'client_7'{settings})"
WAYS = {
    "plain": "(SELECT " + NAMES + " FROM plain WHERE client_id = 'client_7')",
    "FINAL": CURRENT.format(table="versions", settings=""),
    "FINAL, vertical off": CURRENT.format(table="versions", settings=" SETTINGS enable_vertical_final = 0"),
    "FINAL, by client": CURRENT.format(table="by_client",
                                       settings=" SETTINGS do_not_merge_across_partitions_select_final = 1"),
    "argMax": "(SELECT id, " + ", ".join(f"tupleElement(newest, {number + 1}) AS {name}" for number, name in
                                         enumerate(NAMES.split(", ")[1:])) +
              " FROM (SELECT id, argMax(tuple(user_id, status, country, total, placed_at), _version) AS newest, "
              "argMax(_deleted, _version) AS gone FROM versions WHERE client_id = 'client_7' GROUP BY id, _key) WHERE gone = 0)",
    "LIMIT BY": "(SELECT " + NAMES + " FROM (SELECT " + NAMES + ", _deleted FROM versions WHERE client_id = 'client_7' "
                "ORDER BY client_id, id, _key, _version DESC LIMIT 1 BY id, _key) WHERE _deleted = 0)",
}

# What arrives where while which ways are asked: a table with a partition a client costs the server a part for each of them.
PHASES = [(["plain", "versions"], [way for way in WAYS if way != "FINAL, by client"]), (["by_client"], ["FINAL, by client"])]


class Connection:
    """HTTP on the engine's socket, kept open. One thread."""

    def __init__(self, server):
        self.server = server
        self.http = None

    def query(self, sql):
        if self.http is None:
            self.http = http.client.HTTPConnection("engine")
            self.http.sock = socket.socket(socket.AF_UNIX)
            self.http.sock.connect(str(self.server.socket))
        self.http.request("POST", f"/?database={DATABASE}", body=sql.encode())
        answer = self.http.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise measuring.CommandFailed(f"{sql[:200]}: {text[:1000]}")
        return text


class Arrivals:
    """RATE rows a second into each of `tables`, in those of versions half of them updates of rows that are there."""

    def __init__(self, server, rows, tables):
        self.tables = tables
        self.connection = Connection(server)
        self.next_id = rows
        self.version = rows * 2
        self.rows = 0
        self.late = 0.0
        self.random = random.Random(7)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.begin = time.monotonic()
        self._thread.start()
        return self

    def stop(self):
        self._stopping.set()
        self._thread.join()
        return self.rows / (time.monotonic() - self.begin)

    def _run(self):
        number = 0
        count = RATE // ARRIVALS
        while not self._stopping.is_set():
            first = self.random.randrange(self.next_id - count)
            for table in [table for table in self.tables if table != "plain"]:
                insert_versions(self.connection, table, "if(number % 2 = 0, "
                                f"{self.next_id} + intDiv(number, 2), {first} + number)", count, self.version, number)
            if "plain" in self.tables:
                self.connection.query(f"INSERT INTO plain SELECT {values(number)} FROM (SELECT {self.next_id} + number AS id "
                                      f"FROM numbers({count}))")
            self.next_id += count
            self.version += count
            self.rows += count
            number += 1
            wait = self.begin + number / ARRIVALS - time.monotonic()
            self.late = max(self.late, -wait)
            if wait > 0:
                time.sleep(wait)


def values(salt):
    return VALUES.format(clients=CLIENTS, salt=salt)


def insert_versions(connection, table, id_sql, count, version, salt):
    connection.query(f"INSERT INTO {table} SELECT {values(salt)}, concat('\\x02', hex(id)), toUInt256({version} + number), 0, map() "
                     f"FROM (SELECT {id_sql} AS id, number FROM numbers({count})) SETTINGS optimize_on_insert = 0, "
                     "max_insert_threads = 1, max_partitions_per_insert_block = 0")


def fill(connection, rows, say):
    connection.http = None
    for table, extra, engine in [("plain", "", "MergeTree ORDER BY (client_id, id)"),
                                 ("versions", TECHNICAL, "ReplacingMergeTree(_version, _deleted) ORDER BY (client_id, id, _key)"),
                                 ("by_client", TECHNICAL, "ReplacingMergeTree(_version, _deleted) PARTITION BY client_id "
                                                          "ORDER BY (client_id, id, _key)")]:
        connection.query(f"CREATE TABLE {table} ({COLUMNS}{extra}) ENGINE = {engine} SETTINGS {SETTINGS}")
    piece = 500_000
    for first in range(0, rows, piece):
        count = min(piece, rows - first)
        connection.query(f"INSERT INTO plain SELECT {values(0)} FROM (SELECT {first} + number AS id FROM numbers({count}))")
        for table in ("versions", "by_client"):
            insert_versions(connection, table, f"{first} + number", count, first, 0)
    say("updating a tenth of them …")
    updates = int(rows * UPDATED_SHARE)
    for first in range(0, updates, 100_000):
        count = min(100_000, updates - first)
        for table in ("versions", "by_client"):
            insert_versions(connection, table, f"cityHash64({first} + number) % {rows}", count, rows + first, 1)


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def ask(connection, rows, ways, seconds, times):
    deadline = time.monotonic() + seconds
    rounds = 0
    chosen = random.Random(1)
    while time.monotonic() < deadline:
        for question, sql in QUESTIONS.items():
            row = chosen.randrange(rows // CLIENTS) * CLIENTS + 7
            for way in ways:
                begin = time.perf_counter()
                connection.query(sql.format(rows=WAYS[way], id=row))
                times.setdefault(question, {}).setdefault(way, []).append((time.perf_counter() - begin) * 1000)
        rounds += 1
    return rounds


def run(_, options, _folder):
    rows = options.rows * 10
    server = ClickHouseServer().start()
    try:
        server.query(f"CREATE DATABASE {DATABASE}")
        connection = Connection(server)
        options.say(f"filling three tables with {rows:,} rows …")
        fill(connection, rows, options.say)
        times, arrived = {}, {}
        for tables, ways in PHASES:
            ways = [way for way in ways if way == "plain" or not options.case or options.case in way]
            if ways in ([], ["plain"]):
                continue
            arrivals = Arrivals(server, rows, tables).start()
            time.sleep(5)
            rounds = ask(connection, rows, ways, options.seconds / len(PHASES), times)
            arrived[" and ".join(tables)] = {"rows_per_second": arrivals.stop(), "late_seconds_max": arrivals.late, "rounds": rounds}
        parts = {table: int(connection.query(f"SELECT count() FROM system.parts WHERE active AND database = '{DATABASE}' "
                                             f"AND table = '{table}'")) for table in ("plain", "versions", "by_client")}
    finally:
        server.remove()
    return {"machine": measuring.machine(None), "rows": rows, "arrived": arrived, "parts": parts,
            "questions": {question: {way: {"p50_ms": percentile(all_times, 0.5), "p99_ms": percentile(all_times, 0.99)}
                                     for way, all_times in by_way.items()} for question, by_way in times.items()}}


def report(result):
    lines = [f"  {result['rows']:,} rows of {CLIENTS} clients, parts at the end {result['parts']}",
             *[f"  arrived in {tables}: {arrived['rows_per_second']:,.0f} rows/s, {arrived['rounds']} rounds of questions"
               for tables, arrived in result["arrived"].items()],
             f"  {'p50 / p99 in ms':<12}" + "".join(f"{way:>22}" for way in WAYS if way in result["questions"]["count"])]
    for question, by_way in result["questions"].items():
        plain = by_way["plain"]
        cells = [f"{f['p50_ms']:.0f} / {f['p99_ms']:.0f} ({f['p50_ms'] / plain['p50_ms']:.2f})"
                 for f in (by_way[way] for way in WAYS if way in by_way)]
        lines.append(f"  {question:<12}" + "".join(f"{cell:>22}" for cell in cells))
    return lines
