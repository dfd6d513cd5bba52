"""memory: of the program and of its engine child, at 1, 10 and 100 clients, idle and after a trickle of changes."""

import shutil
import time

from harness import Pipeline, Postgres, create_shop, processes

from . import measuring

COUNTS = (1, 10, 100)
TRICKLE_ROWS = 50
SETTLE_SECONDS = 5  # idle is what is left when nothing is done any more


def run(_, options, folder):
    server = Postgres({"shared_buffers": "256MB"}).start()
    try:
        template = create_shop(server, "template_shop")
        template.close()
        databases = []
        figures = []
        for count in COUNTS:
            while len(databases) < count:
                databases.append(create_shop(server, f"client_{len(databases):03}", template="template_shop"))
                databases[-1].close()
            figures.append(measure_clients(folder / f"clients-{count}", databases[:count], options))
        result = {"machine": measuring.machine(server), "figures": figures}
        first, last = figures[0], figures[-1]
        result["bytes_per_idle_client"] = (last["idle_bytes"] - first["idle_bytes"]) / (COUNTS[-1] - COUNTS[0])
        return result
    finally:
        server.remove()


def measure_clients(folder, databases, options):
    pipeline = Pipeline(folder, "bench", {database.name: database for database in databases})
    pipeline.start_and_wait(limit=120)
    pipeline.wait_queryable()
    time.sleep(SETTLE_SECONDS)
    idle = processes.proportional_bytes(pipeline.process.pid)
    for database in databases:
        database.execute("INSERT INTO orders (id, user_id, status, total_cents) SELECT g, g, 'new', g "
                         "FROM generate_series(%s, %s) g", (len(databases) * 1000 + 1, len(databases) * 1000 + TRICKLE_ROWS))
    pipeline.wait_queryable()
    time.sleep(SETTLE_SECONDS)
    engine = pipeline.engine_pid()
    figure = {"clients": len(databases), "idle_bytes": idle,
              "working_bytes": processes.proportional_bytes(pipeline.process.pid),
              "engine_bytes": processes.proportional_bytes(engine) if engine else None}
    options.say(", ".join(f"{name} {value:,}" for name, value in figure.items() if value is not None))
    pipeline.terminate()
    for database in databases:
        for slot in database.slots():
            database.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
        database.close()
    shutil.rmtree(folder)
    return figure
