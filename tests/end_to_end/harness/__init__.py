"""What an end-to-end test needs: a real PostgreSQL, the program from outside, a network that misbehaves, a shop.

    server = Postgres(folder); server.start()
    acme = create_shop(server, "acme")                     # a database with the shop's tables
    pipeline = Pipeline(folder / "shop", "shop", clients={"acme": acme})
    pipeline.start()                                       # tributary run shop.yaml, in the background
    Workload(acme, seed=7).run(steps=200)
    pipeline.wait_queryable()
    assert pipeline.verify().exit_code == 0

The demo (tools/demo.py) and the benchmarks (tools/bench.py) are built from the same parts.
"""

from .clickhouse import ClickHouseServer
from .debezium import DebeziumConnector, UpsertSink
from .flink import FlinkSql
from .kafka import KafkaBroker
from .mongo import MongoServer
from .old_clickhouse import ClickHouseError, OldClickHouse
from .pipeline import ExitCode, Pipeline
from .postgres import Database, Postgres
from .proxy import TcpProxy
from .shop import SHOP_DOMAINS, create_shop
from .trade import TRADE_DOMAINS, TRADE_VIEWS, Traders, add_trade
from .waiting import NotReached, wait_for
from .workload import Workload

__all__ = ["ClickHouseError", "ClickHouseServer", "Database", "DebeziumConnector", "ExitCode", "FlinkSql", "KafkaBroker", "MongoServer",
           "NotReached", "OldClickHouse", "Pipeline", "Postgres", "SHOP_DOMAINS", "TRADE_DOMAINS", "TRADE_VIEWS", "TcpProxy",
           "Traders", "UpsertSink", "Workload", "add_trade", "create_shop", "wait_for"]
