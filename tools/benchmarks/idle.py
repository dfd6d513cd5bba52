"""idle: the share of a core that 100 clients with one row a second each cost, through ten views."""

import threading
import time

from harness import Pipeline, Postgres, TRADE_DOMAINS, TRADE_VIEWS, add_trade, create_shop, processes, wait_for

from . import measuring

CLIENTS = 100
VIEWS = 10
WARM_UP = 10  # seconds
SEED = """
INSERT INTO users (id, email, country) SELECT g, g || '@example.com', 'de' FROM generate_series(1, 10) g;
INSERT INTO suppliers SELECT g, 'Supplier ' || g, 'de', 100 FROM generate_series(1, 3) g;
INSERT INTO supplies SELECT 'SKU-' || g, 1 + g % 3, 10, 10 FROM generate_series(1, 10) g"""
ORDER = "INSERT INTO orders (id, user_id, status, total_cents) VALUES (%s, 1 + %s %% 10, 'new', 5)"
ITEM = "INSERT INTO order_items VALUES (%s - 1, 1, 'SKU-' || 1 + %s %% 10, 2, 300)"  # of the order before


def run(_, options, folder):
    server = Postgres({"shared_buffers": "256MB", "max_connections": "400"}).start()
    pipeline = None
    try:
        template = add_trade(create_shop(server, "template_shop"))
        template.execute(SEED)
        template.close()
        databases = [create_shop(server, f"client_{i:03}", template="template_shop") for i in range(CLIENTS)]
        views = {name: {"sql": sql} for name, (sql, _) in list(TRADE_VIEWS.items())[:VIEWS]}
        pipeline = Pipeline(folder, "bench", {database.name: database for database in databases}, domains=TRADE_DOMAINS,
                            views=views)
        pipeline.start_and_wait(limit=240)
        with Trickle(databases):
            time.sleep(WARM_UP)
            figures = measure(pipeline, options)
        pipeline.wait_queryable()
        return {"machine": measuring.machine(server), "clients": CLIENTS, "views": VIEWS, **figures}
    finally:
        if pipeline:
            pipeline.close()
        server.remove()


def measure(pipeline, options):
    engine = wait_for(pipeline.engine_pid, 20, "the engine child")

    def cpu():
        return processes.cpu_seconds(pipeline.process.pid, with_dead_children=False), processes.cpu_seconds(engine)
    before, begin, threads = cpu(), time.monotonic(), {}
    measuring.sample_threads(pipeline.process.pid, threads)
    first = measuring.named(threads)
    time.sleep(options.seconds)
    measuring.sample_threads(pipeline.process.pid, threads)
    seconds = time.monotonic() - begin
    shares = [(now - then) / seconds for now, then in zip(cpu(), before, strict=True)]
    by_thread = {name: round((used - first.get(name, 0.0)) / seconds, 3) for name, used in measuring.named(threads).items()}
    return {"core_share": shares[0], "engine_core_share": shares[1], "core_share_by_thread": by_thread}


class Trickle:
    """One row a second in each database, an order and then an item of it, spread over the second."""

    def __init__(self, databases):
        self.connections = [database.connect() for database in databases]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def _write(self):
        number = 0
        while not self._stopping.wait(1 / len(self.connections)):
            with self.connections[number % len(self.connections)].cursor() as cursor:
                second = number // len(self.connections)
                cursor.execute(ITEM if second % 2 else ORDER, (second, second))
            number += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join()
        for connection in self.connections:
            connection.close()
