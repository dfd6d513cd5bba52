"""The analytics are lost, or put back from an older copy, under state that is newer: their views are computed again from raw."""

import shutil

import pytest

from harness import ExitCode

VIEWS = {
    "sales": {"sql": "SELECT * FROM orders"},
    "daily": {"sql": "SELECT CAST(placed_at AS DATE) AS day, count(*) AS orders, sum(total_cents) AS total FROM orders GROUP BY ALL"},
}


def place_orders(shop, first, count):
    shop.execute(f"INSERT INTO orders SELECT g, 1, 'paid', g, NULL, timestamp '2026-01-01' + g * interval '1 hour' "
                 f"FROM generate_series({first}, {first + count - 1}) g")


def caught_up(pipeline):
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    return pipeline.query("acme", "SELECT count(), sum(id) FROM sales"), pipeline.query("acme", "SELECT sum(orders) FROM daily")


@pytest.mark.parametrize("how", ["removed", "older"])
def test_a_folder_that_lost_rows_is_filled_again_from_raw(pipelines, shop, tmp_path, how):
    pipeline = pipelines({"acme": shop}, views=VIEWS)
    place_orders(shop, 1, 200)
    caught_up(pipeline)
    analytics = pipeline.data / "analytics"
    shutil.copytree(analytics, tmp_path / "older", symlinks=True)
    place_orders(shop, 1000, 50)
    before = caught_up(pipeline)

    shutil.rmtree(analytics)
    if how == "older":
        shutil.copytree(tmp_path / "older", analytics, symlinks=True)
    assert caught_up(pipeline) == before
    pipeline.verify_clean()
    assert not pipeline.status()["problems"]
    place_orders(shop, 2000, 50)
    assert caught_up(pipeline) != before
    pipeline.verify_clean()


def test_a_server_that_lost_tables_is_filled_again_from_raw(pipelines, shop, clickhouse, unique_name):
    database = unique_name("lost").replace("-", "_")
    pipeline = pipelines({"acme": shop}, views=VIEWS,
                         settings={"analytics": f"clickhouse://{clickhouse.address}/{database}"})
    place_orders(shop, 1, 200)
    before = caught_up(pipeline)
    clickhouse.query(f"TRUNCATE TABLE {database}.daily")
    assert caught_up(pipeline) == before
    clickhouse.query(f"DROP DATABASE {database}")
    assert caught_up(pipeline) == before
    pipeline.verify_clean()
