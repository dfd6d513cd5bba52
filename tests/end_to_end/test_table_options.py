"""A view's order_by, partition_by, ttl and settings: of its table in the analytics, embedded or on a server."""

import pytest

from harness import ExitCode

DAILY = "SELECT CAST(placed_at AS DATE) AS day, status, count(*) AS orders FROM orders GROUP BY day, status"


def place_orders(shop, first, count, days_apart):
    shop.execute(f"INSERT INTO orders SELECT g, 1, 'paid', g, NULL, timestamp '2026-11-01 12:00' - (g - {first}) * interval "
                 f"'{days_apart} days' FROM generate_series({first}, {first + count - 1}) g")


def with_options(pipeline, **options):
    pipeline.content["views"]["daily"] = {"sql": DAILY, **options}
    pipeline.write()


@pytest.mark.parametrize("where", ["embedded", "server"])
def test_options_take_effect_and_the_rows_stay_right(pipelines, shop, clickhouse, unique_name, where):
    database = unique_name("options").replace("-", "_")
    settings = {"analytics": f"clickhouse://{clickhouse.address}/{database}"} if where == "server" else {}
    pipeline = pipelines({"acme": shop}, views={"daily": {"sql": DAILY}}, settings=settings)

    def written():
        pipeline.run_until_caught_up().expect(ExitCode.OK)
        pipeline.verify_clean()
        return pipeline.count("acme", "daily")

    place_orders(shop, 1, 60, 30)  # five years of months
    assert written() == 60
    with_options(pipeline, partition_by="toYYYYMM(day)", order_by=["day", "status"], settings={"index_granularity": 512})
    shop.execute("UPDATE orders SET status = 'returned' WHERE id % 2 = 0; DELETE FROM orders WHERE id % 10 = 0")
    assert written() == 54
    with_options(pipeline, partition_by="toYear(day)", order_by=["day"], ttl="day + 700d")
    place_orders(shop, 1000, 60, 30)
    kept = written()
    shop.execute("UPDATE orders SET status = 'shipped' WHERE id % 3 = 0")  # of expired days, too
    assert kept > written() * 0.5 > 0
    expected = shop.value("SELECT count(*) FROM (SELECT DISTINCT placed_at::date, status FROM orders "
                          "WHERE placed_at::date + 700 > now()) days")
    assert pipeline.count("acme", "daily") == expected
    if where == "server":
        assert clickhouse.query(f"SELECT partition_key FROM system.tables WHERE database = '{database}'") == "toYear(day)\n"
    with_options(pipeline)
    pipeline.run_until_caught_up().expect(ExitCode.OK)


def test_what_would_break_replacement_is_refused_at_its_place(pipelines, shop):
    pipeline = pipelines({"acme": shop}, views={
        "daily": {"sql": DAILY, "partition_by": "intDiv(orders, 100)"},
        "sales": {"sql": "SELECT id, placed_at FROM orders", "ttl": "placed_at + 30d",
                  "settings": {"clean_deleted_rows": "Always"}}})
    done = pipeline.command("check", "--connect")
    assert done.exit_code == ExitCode.CONFIG
    text = pipeline.file.read_text().splitlines()
    for what in ('partition_by: "orders" is no column that every version of a row shares; there are: day, status',
                 'ttl: "placed_at" is no column that every version of a row shares; there are: id',
                 "settings: clean_deleted_rows is the pipeline's own"):
        (error,) = [line for line in done.errors.splitlines() if what in line]
        _, line, column = error.split(": ")[0].rsplit(":", 2)
        word = what.split('"')[1] if '"' in what else "clean_deleted_rows"
        assert text[int(line) - 1][int(column) - 1:].lstrip('"').startswith(word)
