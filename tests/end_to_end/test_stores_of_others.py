"""The harness's servers that others wrote: they start here, and keep through a kill what they acknowledged."""

import pytest

from harness import ClickHouseError, MongoServer, OldClickHouse
from harness.mongo import KINDS, pymongo


@pytest.mark.parametrize("kind", KINDS)
def test_mongo_keeps_what_it_acknowledged(kind):
    server = MongoServer(kind)
    try:
        server.start()
        orders = server.client()["raw"]["orders"]
        orders.insert_many([{"_id": f"row-{number}", "number": number} for number in range(50)])
        with pytest.raises(pymongo().errors.BulkWriteError) as failure:
            orders.insert_many([{"_id": "row-7"}, {"_id": "new"}, {"_id": "row-8"}], ordered=False)
        assert [(error["index"], error["code"]) for error in failure.value.details["writeErrors"]] == \
            [(0, 11000), (2, 11000)]
        uri = server.uri
        server.kill()
        server.start()
        assert server.uri == uri
        assert orders.count_documents({}) == 51
        assert orders.find_one({"_id": "row-7"}) == {"_id": "row-7", "number": 7}
    finally:
        server.remove()


def test_the_old_clickhouse_answers_refuses_and_keeps():
    server = OldClickHouse()
    try:
        server.start()
        assert server.query("SELECT version()") == "18.16.1\n"
        with pytest.raises(ClickHouseError, match="401: Code: 193"):
            server.query("SELECT 1", password="wrong")
        server.query("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
        server.query("INSERT INTO t FORMAT RowBinary", data=(7).to_bytes(8, "little"))
        server.kill()
        server.start()
        assert server.query("SELECT id FROM t") == "7\n"
    finally:
        server.remove()
