"""Fixtures: one PostgreSQL for the whole session, databases and pipelines of its own for every test."""

import itertools
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import ClickHouseServer, KafkaBroker, Pipeline, Postgres, create_shop  # noqa: E402
from harness.pipeline import program  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server():
    """The session's PostgreSQL. Tests that change its settings take own_server instead."""
    postgres = Postgres().start()
    yield postgres
    postgres.remove()


@pytest.fixture
def own_server():
    """Starts servers with settings of the test's own: own_server(wal_level="replica")."""
    started = []

    def start(hba=None, **settings):
        started.append(Postgres(settings, hba))
        return started[-1].start()

    yield start
    for postgres in started:
        postgres.remove()


@pytest.fixture(scope="session")
def kafka():
    """The session's Kafka broker. Topics are a test's own: name them by unique_name(). Who kills it starts it again."""
    broker = KafkaBroker().start()
    yield broker
    broker.remove()


@pytest.fixture(scope="session")
def clickhouse():
    """The session's current ClickHouse, which is the program's engine. Databases are a test's own: unique_name()."""
    if not os.access(program(), os.X_OK):
        pytest.skip(f"{program()} is not built; run ./dev build")
    server = ClickHouseServer().start()
    yield server
    server.remove()


@pytest.fixture
def own_kafka():
    """Starts brokers with settings of the test's own: own_kafka({"message.max.bytes": 1000}, proxied=True)."""
    started = []

    def start(*arguments, **options):
        started.append(KafkaBroker(*arguments, **options))
        return started[-1].start()

    yield start
    for broker in started:
        broker.remove()


@pytest.fixture
def unique_name():
    """Makes names that no other test of the session has, for topics and the like: unique_name("shop")."""
    return lambda name: f"t{next(_numbers)}-{name}"


@pytest.fixture
def shops(server):
    """Makes shops: acme, globex = shops("acme", "globex"). Names are made unique on the server."""
    made = []

    def make(*names, template=None):
        databases = []
        for name in names:
            databases.append(create_shop(server, f"t{next(_numbers)}_{name}", template))
            made.append(databases[-1].name)
        return databases

    yield make
    for name in made:
        server.drop_database(name)


@pytest.fixture
def shop(shops):
    """One client's database with the shop's tables, empty."""
    return shops("acme")[0]


@pytest.fixture
def built_program():
    """Where the program is; a test that needs it is skipped by name before there is one."""
    if not os.access(program(), os.X_OK):
        pytest.skip(f"{program()} is not built; run ./dev build")
    return program()


@pytest.fixture
def pipelines(built_program, own_server, shops, tmp_path):  # pylint: disable=unused-argument
    """Makes pipelines: pipelines({"acme": shop}, views={…}). They stop before their databases go."""
    made = []

    def make(clients, **options):
        number = next(_numbers)
        made.append(Pipeline(tmp_path / f"pipeline-{number}", f"p{number}", clients, **options))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.close()


def pytest_collection_modifyitems(items):
    """Workers have servers of their own; the broker, which is heavy, is one for the whole run, in one worker."""
    for item in items:
        if {"kafka", "own_kafka"} & set(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group("kafka"))
