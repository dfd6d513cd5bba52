#!/usr/bin/env python3
"""./dev demo: the whole pipeline on throwaway databases, to be watched.

    ./dev demo                   until Ctrl-C
    ./dev demo --seconds 60      then: writers stop, the pipeline catches up, `tributary verify` compares source and
                                 analytics row by row, and its exit code is the demo's
    ./dev demo --log kafka       events go through a Kafka broker of its own
    ./dev demo --capture debezium --log kafka
                                 and a Debezium connector for each client reads its database instead
    ./dev demo --analytics clickhouse
                                 the views' rows are on a ClickHouse server: the engine behind a loopback address
    ./dev demo --raw mongodb     every event is kept in MongoDB: a server that speaks its protocol

A PostgreSQL of its own with three clients' databases, a shop's workload that keeps writing to them (inserts, updates,
deletes, key changes, a wide table, TRUNCATE, a burst of one client), and the pipeline, all in a temporary folder that is
removed at the end.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "end_to_end")]

from arguments import Arguments  # noqa: E402
from harness import (ClickHouseServer, DebeziumConnector, ExitCode, KafkaBroker, MongoServer, NotReached, Pipeline, Postgres, TRADE_DOMAINS,
                     TRADE_VIEWS, Traders, Workload, add_trade, create_shop, wait_for)  # noqa: E402
from harness.pipeline import CommandFailed, program  # noqa: E402

# client → attributes, transactions a second, seed
CLIENTS = {
    "acme": ({"plan": "gold", "currency": "EUR"}, 60, 1),
    "globex": ({"plan": "free", "currency": "USD"}, 25, 2),
    "initech": ({"plan": "silver", "currency": "JPY"}, 5, 3),
}
TRADERS_RATE = 2  # statements a second, each of many rows
BURSTING = "globex"
BURST_ROWS = 20000
BURST_INTERVAL = 20   # seconds
CATCH_UP_LIMIT = 120  # seconds
REDRAW_INTERVAL = 0.5
LINE_INTERVAL = 5     # seconds between lines where the output is no terminal
PAGE_SECONDS = 6  # each, where not all questions fit on the terminal
INTERRUPTED = 130

VIEWS = {
    "customers": {"sql": "SELECT id, lower(trim(email)) AS email, upper(trim(country)) AS country, balance,\n"
                         "       client.plan AS plan\nFROM users"},
    "sales": {"sql": "SELECT id, user_id, status, CAST(total_cents AS DECIMAL(18,2)) * 0.01 AS total,\n"
                     "       client.currency AS currency, placed_at\nFROM orders WHERE status <> 'test'"},
    "sold_items": {"sql": "SELECT order_id, line, sku, quantity, quantity * price_cents AS cents\nFROM order_items"},
    "catalogue": {"sql": "SELECT sku, title, CAST(price_cents AS DECIMAL(18,2)) * 0.01 AS price FROM products"},
    "measurements": {"sql": "SELECT * FROM wide"},
    "page_visits": {"sql": "SELECT * FROM visits"},
    # Joins of up to six domains, aggregates over them, distinct counts, in the manner of TPC-H.
    **{name: {"sql": sql} for name, (sql, _) in TRADE_VIEWS.items()},
}

# What the dashboards of the clients would ask, in ClickHouse's SQL.
QUESTIONS = [
    ("acme", "revenue by status",
     "SELECT status, count() AS sales, sum(total) AS revenue FROM sales GROUP BY status ORDER BY revenue DESC LIMIT 4"),
    ("globex", "customers by country",
     "SELECT ifNull(country, 'unknown') AS country, count() AS customers, sum(balance) AS balance FROM customers "
     "GROUP BY country ORDER BY customers DESC LIMIT 4"),
    ("acme", "sold by suppliers in the customer's own country",
     "SELECT country, region, cents, orders, suppliers FROM local_volume ORDER BY cents DESC LIMIT 4"),
    ("globex", "profit by the cheapest supplier's country",
     "SELECT ifNull(country, 'unknown') AS country, lines, cents FROM profit ORDER BY cents DESC LIMIT 4"),
    ("initech", "customers by their number of orders",
     "SELECT orders, users FROM distribution ORDER BY users DESC LIMIT 4"),
    ("initech", "best-selling articles",
     "SELECT sku, sum(quantity) AS sold, sum(cents) AS cents FROM sold_items GROUP BY sku ORDER BY cents DESC LIMIT 4"),
]


class Demo:
    """Everything that runs. One thread, beside the writers' own."""

    def __init__(self, folder, options):
        self.folder = pathlib.Path(folder)
        self.by_connectors = options.capture == "debezium"
        self.log = options.log
        self.analytics = options.analytics
        self.raw = options.raw
        self.clickhouse = None
        self.mongodb = None
        self.server = None
        self.broker = None
        self.connectors = {}
        self.pipeline = None
        self.writers = {}
        self.traders = []
        self.bursts = 0
        self._stopping = threading.Event()
        self._burster = None

    def start(self):
        say("starting PostgreSQL and filling three clients' databases …")
        self.server = Postgres().start()
        clients = {}
        for client, (attributes, _, seed) in CLIENTS.items():
            database = add_trade(create_shop(self.server, client))
            clients[client] = {"database": database, "attributes": attributes}
            self.writers[client] = Workload(database, seed).seed_rows(users=500, products=200, orders=1000)
            self.traders.append(Traders(database, seed).seed_rows())
        settings, environment = {}, {}
        if self.by_connectors or self.log == "kafka":
            say("starting a Kafka broker …")
            self.broker = KafkaBroker().start()
        if self.log == "kafka":
            settings["log"] = {"at": f"kafka://{self.broker.address}"}
        if self.analytics == "clickhouse":
            say("starting a ClickHouse server …")
            self.clickhouse = ClickHouseServer().start()
            settings["analytics"] = f"clickhouse://{self.clickhouse.address}/demo"
        if self.raw == "mongodb":
            say("starting a server of MongoDB's protocol …")
            self.mongodb = MongoServer("h2").start()
            settings["raw"] = f"{self.mongodb.uri}/demo"
        if self.by_connectors:
            environment["OF_THE_DATABASES"] = self.server.password
            clients = {client: self._by_connector(client, **options) for client, options in clients.items()}
        self.pipeline = Pipeline(self.folder, "shop", clients, domains=TRADE_DOMAINS, views=VIEWS, settings=settings,
                                 environment=environment)
        say(f"the pipeline file: {self.pipeline.file}")
        self.pipeline.start()
        for client, (_, rate, _) in CLIENTS.items():
            self.writers[client].start(rate)
        for traders in self.traders:
            traders.start(TRADERS_RATE)
        self._burster = threading.Thread(target=self._burst, daemon=True)
        self._burster.start()

    def _by_connector(self, client, database, attributes):
        """Starts Debezium on the client's database; gives the client as the pipeline file has it."""
        say(f"starting a Debezium connector for {client} …")
        tables = [domain["table"] for domain in TRADE_DOMAINS.values()]
        self.connectors[client] = DebeziumConnector(self.broker, database, client, tables, schemas=True, settings={
            "skipped.operations": "none", "heartbeat.interval.ms": 500}).start()
        return {"source": f"debezium+kafka://{self.broker.address}/{client}", "verify_source": database.url(),
                "verify_password": "${env:OF_THE_DATABASES}", "attributes": attributes}

    def wait_for_connectors(self):
        """Returns when their topics have all that was written: a last row of each database has come through."""
        for connector in self.connectors.values():
            last = connector.database.value("INSERT INTO visits (id, page) VALUES (gen_random_uuid(), 'the last') RETURNING id")
            topic = f"{connector.name}.public.visits"
            wait_for(lambda last=last, topic=topic: any(str(last).encode() in record.key
                                                        for record in self.broker.records(topic) if record.key),
                     CATCH_UP_LIMIT, f"the connector of {connector.name} to have read everything", seen=connector.log_tail)

    def _burst(self):
        """From time to time one client loads many rows at once; the others shall not feel it."""
        first = 10**9
        while not self._stopping.wait(BURST_INTERVAL / 2 if first == 10**9 else BURST_INTERVAL):
            with self.writers[BURSTING].database.transaction() as cursor:
                cursor.execute("INSERT INTO order_items SELECT g, 0, 'SKU-burst', 1 + g %% 5, g %% 1000 "
                               "FROM generate_series(%s, %s) g", (first, first + BURST_ROWS - 1))
            first += BURST_ROWS
            self.bursts += 1

    def rows_written(self, client):
        return self.writers[client].rows + (self.bursts * BURST_ROWS if client == BURSTING else 0)

    def stop_writers(self):
        self._stopping.set()
        if self._burster:
            self._burster.join()
        for writer in [*self.writers.values(), *self.traders]:
            writer.stop()

    def close(self):
        self._stopping.set()
        for writer in [*self.traders, *self.writers.values()]:
            try:
                writer.close()
            except RuntimeError as error:
                say(str(error))
        if self.pipeline:
            self.pipeline.close()
        for connector in self.connectors.values():
            connector.remove()
        if self.clickhouse:
            self.clickhouse.remove()
        if self.mongodb:
            self.mongodb.remove()
        if self.broker:
            self.broker.remove()
        if self.server:
            self.server.remove()


def answer_lines(rows):
    return ["    " + "  ".join(f"{name} {value!s:<12}" for name, value in row.items()) for row in rows] or ["    (no rows yet)"]


def fitting(blocks, room, page):
    """The blocks' lines, as many whole blocks as there is room for. Where not all fit, each page begins where the last one ended."""
    pages = [[]]
    for block in blocks:
        if pages[-1] and len(pages[-1]) + len(block) > room:
            pages.append([])
        pages[-1] += block
    return pages[page % len(pages)]


class ShownClient:
    """A client's state, in a table's row or a sentence."""

    def __init__(self, entry, written, captured):
        self.entry, self.written, self.captured = entry, written, captured
        lag = entry["lag"]
        events = "?" if lag["events"] is None else f"{lag['events']:,}"  # not known yet
        self.behind = f"{events} events, {lag['seconds'] or 0:.2f} s"

    def _remarks(self):
        remarks = [f"reading {snapshot['table']}: {snapshot['fraction']:.0%}" for snapshot in self.entry["snapshots"]
                   if snapshot["fraction"] < 1]
        if self.entry["reason"]:
            remarks.append(f"{self.entry['reason']}; {self.entry['remedy']}")
        return remarks

    def lines(self):
        return [f"  {self.entry['client']:<9} {self.entry['state']:<11} {self.written:>10,.0f} {self.captured:>11,.0f} "
                f"{self.entry['queryable_events']:>11,}  {self.behind}", *[f"    {remark}" for remark in self._remarks()]]

    def sentence(self):
        return ", ".join([f"{self.entry['client']} {self.entry['state']}: {self.written:,.0f} rows/s written", f"{self.captured:,.0f}/s captured",
                          f"{self.entry['queryable_events']:,} queryable", f"{self.behind} behind", *self._remarks()])


class Screen:
    """What is shown: redrawn in place on a terminal, a line now and then elsewhere."""

    def __init__(self, demo, seconds):
        self.demo = demo
        self.seconds = seconds
        self.begin = time.monotonic()
        self.live = sys.stdout.isatty()
        self._drawn = 0
        self._before = {client: (self.begin, demo.rows_written(client), 0) for client in CLIENTS}
        self._next_question = 0
        self._answers = {}

    def elapsed(self):
        return time.monotonic() - self.begin

    def show(self, status):
        now = time.monotonic()
        clients = [self._client(entry, now) for entry in status["clients"]]
        if self.live:
            self._ask()
            lines = [self._headline(status), "",
                     f"  {'client':<9} {'state':<11} {'written/s':>10} {'captured/s':>11} {'queryable':>11}  behind"]
            for client in clients:
                lines += client.lines()
            blocks = [["", f"  {client}: {title}", *self._answers.get(number, ["    …"])]
                      for number, (client, title, _) in enumerate(QUESTIONS)]
            size = shutil.get_terminal_size()
            page = int(self.elapsed() / PAGE_SECONDS)
            self._redraw((lines + fitting(blocks, size.lines - 1 - len(lines), page))[:size.lines - 1], size.columns - 1)
        else:
            print(" | ".join([self._headline(status), *[client.sentence() for client in clients]]), flush=True)

    def _headline(self, status):
        limit = f" of {self.seconds:g}" if self.seconds else ""
        end = "" if self.seconds else "; Ctrl-C ends it"
        return f"tributary demo: {self.elapsed():.0f}{limit} s, checkpoint {status['checkpoint']}{end}"

    def _client(self, entry, now):
        client = entry["client"]
        written, captured = self.demo.rows_written(client), entry["captured_events"]
        then, written_before, captured_before = self._before[client]
        if now - then > 2:
            self._before[client] = (now, written, captured)
        seconds = max(now - then, 0.001)
        return ShownClient(entry, (written - written_before) / seconds, max(captured - captured_before, 0) / seconds)

    def _ask(self):
        """One of the questions a redraw: a query is a process of its own."""
        number = self._next_question
        self._next_question = (number + 1) % len(QUESTIONS)
        client, _, sql = QUESTIONS[number]
        try:
            rows = self.demo.pipeline.query(client, sql)
        except CommandFailed:
            return  # the view's table is not made yet
        self._answers[number] = answer_lines(rows)

    def _redraw(self, lines, width):
        out = [f"\x1b[{self._drawn}F" if self._drawn else ""]
        out += [f"\x1b[2K{line[:width]}\n" for line in lines]
        out.append("\x1b[J")
        self._drawn = len(lines)
        print("".join(out), end="", flush=True)


def say(text):
    print(f"demo: {text}", flush=True)


def watch(demo, screen):
    """Shows the pipeline until the time is over. An end of the pipeline is an error."""
    next_line = 0.0
    while not screen.seconds or screen.elapsed() < screen.seconds:
        if not demo.pipeline.running():
            raise CommandFailed(f"tributary run ended with {demo.pipeline.process.returncode}\n{demo.pipeline.log_tail()}")
        try:
            status = demo.pipeline.status()
        except CommandFailed:
            if screen.elapsed() > 30:
                raise
            time.sleep(REDRAW_INTERVAL)  # it starts
            continue
        if screen.live or screen.elapsed() >= next_line:
            screen.show(status)
            next_line = screen.elapsed() + LINE_INTERVAL
        time.sleep(REDRAW_INTERVAL)


def finish(demo, screen):
    """Writers stop, the pipeline catches up, the validator compares. Returns its exit code."""
    demo.stop_writers()
    rows = sum(demo.rows_written(client) for client in CLIENTS)
    say(f"writers stopped after {rows:,} rows; waiting until all of it is queryable …")
    begin = time.monotonic()
    demo.wait_for_connectors()
    demo.pipeline.wait_queryable(limit=CATCH_UP_LIMIT)
    say(f"caught up {time.monotonic() - begin:.1f} s later")
    if demo.mongodb:
        demo.pipeline.wait_status(lambda status: status["raw_waiting_events"] == 0, CATCH_UP_LIMIT, "raw to have everything")
        counts = {name: demo.mongodb.client()["demo"][name].estimated_document_count()
                  for name in sorted(demo.mongodb.client()["demo"].list_collection_names()) if not name.startswith("_")}
        say("MongoDB has " + ", ".join(f"{count:,} events of {name}" for name, count in counts.items()))
    if not screen.live:
        for client, title, sql in QUESTIONS:
            say(f"{client}: {title}")
            print("\n".join(answer_lines(demo.pipeline.query(client, sql))), flush=True)
    say("tributary verify: the same SQL over the source's own tables, compared row by row …")
    done = demo.pipeline.verify(limit=300)
    print(done.output + done.errors, end="")
    say("source and analytics agree" if done.exit_code == ExitCode.OK else f"verify ended with {done.exit_code}")
    return done.exit_code


def parse_arguments():
    parser = Arguments(prog="./dev demo", description=__doc__.split("\n\n", maxsplit=1)[0],
                       formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0, help="end by itself: catch up, verify, exit with its result")
    parser.add_argument("--capture", choices=["native", "debezium"], default="native", help="who reads the databases")
    parser.add_argument("--log", choices=["embedded", "kafka"], default="embedded", help="what carries the events")
    parser.add_argument("--analytics", choices=["embedded", "clickhouse"], default="embedded", help="who holds the views' rows")
    parser.add_argument("--raw", choices=["embedded", "mongodb"], default="embedded", help="who keeps every event")
    parser.add_argument("--process", choices=["native", "flink"], default="native", help="flink is not built yet")
    options = parser.parse_args()
    if options.process != "native":
        say(f"'--process {options.process}' is not built yet; the demo runs with what is embedded")
        sys.exit(ExitCode.UNAVAILABLE)
    if options.seconds < 0:
        parser.error("--seconds wants a positive number")
    return options


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    options = parse_arguments()
    if not os.access(program(), os.X_OK):
        say(f"{program()} is not there; run ./dev build")
        return ExitCode.UNAVAILABLE
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)  # also where a shell started it in the background, with SIGINT ignored
    with tempfile.TemporaryDirectory(prefix="tributary-demo-") as folder:
        demo = Demo(folder, options)
        try:
            demo.start()
            screen = Screen(demo, options.seconds)
            watch(demo, screen)
            return finish(demo, screen)
        except KeyboardInterrupt:
            print()
            say("stopping …")
            return INTERRUPTED
        except (CommandFailed, NotReached, RuntimeError) as error:
            say(f"failed: {error}")
            return ExitCode.INTERNAL
        finally:
            demo.close()


if __name__ == "__main__":
    sys.exit(main())
