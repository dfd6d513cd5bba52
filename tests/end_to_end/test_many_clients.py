"""Many clients on one process: each with a trickle of changes, none in another's way."""

import random

import pytest

from harness import create_shop
from harness.processes import proportional_bytes


def trickle(databases, rounds, seed):
    """Some changes in every database, over one connection after the other."""
    chance = random.Random(seed)
    for number in range(rounds):
        for database in databases:
            if chance.random() < 0.7:
                database.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (%s, 1, 'new', %s)",
                                 (number, chance.randint(0, 10**6)))
            if number and chance.random() < 0.3:
                database.execute("UPDATE orders SET status = 'paid' WHERE id = %s", (chance.randrange(number),))
            if number and chance.random() < 0.1:
                database.execute("DELETE FROM orders WHERE id = %s", (chance.randrange(number),))


def run_clients(server, pipelines, count, rounds):
    template = create_shop(server, f"template_{count}")
    template.close()
    names = [f"many_{count}_{number:03}" for number in range(count)]
    databases = [create_shop(server, name, template=template.name) for name in names]
    try:
        pipeline = pipelines({f"client{number:03}": database for number, database in enumerate(databases)},
                             domains={"orders": {"table": "public.orders", "event": "order"}})
        pipeline.start_and_wait(limit=120)
        trickle(databases, rounds, seed=71)
        pipeline.wait_queryable(limit=60)
        for client, database in pipeline.databases.items():
            assert pipeline.client_status(client)["state"] == "streaming"
            database.close()
        pipeline.verify_clean(limit=240)
        memory = proportional_bytes(pipeline.process.pid)
        assert memory < (200 << 20) + count * (1 << 20), f"{memory >> 20} MiB"
        pipeline.terminate()
    finally:
        for name in [*names, template.name]:
            server.drop_database(name)


def test_ten_clients_with_a_trickle_each(server, pipelines):
    run_clients(server, pipelines, count=10, rounds=20)


@pytest.mark.long
def test_a_hundred_clients_with_a_trickle_each(server, pipelines):
    run_clients(server, pipelines, count=100, rounds=30)
