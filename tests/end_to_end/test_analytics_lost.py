"""The analytics are lost, or put back from an older copy, under state that is newer: their views are computed again from raw."""

import os
import shutil

import pytest

from harness import ExitCode, wait_for

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


@pytest.mark.parametrize("when", ["stopped", "running"])
def test_a_column_that_a_server_lost_is_computed_again_and_not_added_empty(pipelines, shop, clickhouse, unique_name, when):
    database = unique_name("column").replace("-", "_")
    pipeline = pipelines({"acme": shop}, views=VIEWS,
                         settings={"analytics": f"clickhouse://{clickhouse.address}/{database}"})
    place_orders(shop, 1, 200)
    caught_up(pipeline)
    if when != "stopped":
        pipeline.start_and_wait()
    clickhouse.query(f"ALTER TABLE {database}.sales DROP COLUMN status")
    clickhouse.query(f"ALTER TABLE {database}.daily DROP COLUMN orders")
    place_orders(shop, 1000, 50)
    if when == "stopped":
        pipeline.start_and_wait()
    else:
        wait_for(lambda: clickhouse.query(f"EXISTS TABLE {database}.`sales@2`").strip() == "1", 60, "the loss to be noticed")
    pipeline.wait_queryable()
    wait_for(lambda: pipeline.verify().exit_code == ExitCode.OK, 60, "the views to be right again")
    wait_for(lambda: not pipeline.status()["problems"], 60, "no problem to be left")


def merged_part(pipeline):
    """A part that a merge made, with all of its files; None: there is none yet."""
    parts = [part for part in (pipeline.data / "analytics/data/store").glob("*/*/all_*")
             if int(part.name.split("_")[3]) > 0 and part.name.split("_")[1] != part.name.split("_")[2]]
    return max(parts, key=lambda part: int(part.name.split("_")[2]), default=None)


def empty(part):
    for file in part.iterdir():
        os.truncate(file, 0)


@pytest.mark.parametrize("left", ["what it was made of", "nothing"])
def test_a_part_that_a_full_disk_left_empty_is_made_good_while_the_pipeline_runs(pipelines, shop, left):
    pipeline = pipelines({"acme": shop}, views=VIEWS).start_and_wait()
    orders = 0
    while not (part := merged_part(pipeline)):
        place_orders(shop, orders + 1, 5)
        orders += 5
        pipeline.wait_queryable()
    if left == "nothing":
        first, last = map(int, part.name.split("_")[1:3])
        for other in part.parent.glob("all_*"):
            begin, end = map(int, other.name.split("_")[1:3])
            if first <= begin and end <= last:
                empty(other)
    empty(part)
    wait_for(lambda: "parts without bytes" in pipeline.log_text(), 60, "the part to be noticed")
    wait_for(lambda: pipeline.verify().exit_code == ExitCode.OK, 120, "the views to be right again")
    assert not pipeline.status()["problems"]
    place_orders(shop, orders + 1, 5)
    pipeline.wait_queryable()
    pipeline.verify_clean()
