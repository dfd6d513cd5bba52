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
        assert clickhouse.query(
            f"SELECT partition_key FROM system.tables WHERE database = '{database}' AND name LIKE 'daily%'") == "toYear(day)\n"
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


@pytest.mark.parametrize("where", ["embedded", "server"])
def test_history_says_what_a_view_showed_at_any_time(pipelines, shop, clickhouse, unique_name, where):
    database = unique_name("history").replace("-", "_")
    settings = {"analytics": f"clickhouse://{clickhouse.address}/{database}"} if where == "server" else {}
    views = {"sales": {"sql": "SELECT id, status, total_cents, client.plan AS plan FROM orders WHERE status <> 'test'", "history": True},
             "daily": {"sql": DAILY, "history": True, "order_by": ["status"]}}
    pipeline = pipelines({"acme": {"database": shop, "attributes": {"plan": "gold"}}}, views=views, settings=settings)
    pipeline.start_and_wait()
    seen = []

    def look():
        pipeline.wait_queryable()
        at = pipeline.value("acme", "SELECT toString(now64(6, 'UTC'))")
        seen.append((at, {view: pipeline.query("acme", f"SELECT * FROM {view} ORDER BY ALL") for view in views}))

    look()
    for sql in ["INSERT INTO orders SELECT g, 1, 'paid', g, NULL, timestamp '2026-11-01' + g * interval '1 hour' "
                "FROM generate_series(1, 40) g",
                "UPDATE orders SET status = 'shipped' WHERE id <= 10",
                "UPDATE orders SET status = 'test' WHERE id <= 5; UPDATE orders SET id = id + 100 WHERE id = 20",
                "UPDATE orders SET status = 'paid' WHERE id <= 3; DELETE FROM orders WHERE id BETWEEN 30 AND 35",
                "TRUNCATE orders", "INSERT INTO orders VALUES (1, 1, 'new', 5, NULL, '2026-11-02')"]:
        shop.execute(sql)
        look()
    pipeline.terminate()
    pipeline.content["clients"]["acme"]["attributes"]["plan"] = "silver"
    pipeline.write()
    pipeline.start_and_wait()
    shop.execute("UPDATE orders SET total_cents = 6")
    look()
    assert len({str(rows) for _, rows in seen}) == len(seen) - 1  # empty twice
    for at, shown in seen:
        for view, rows in shown.items():
            columns = "* EXCEPT (valid_from, valid_to)"
            assert pipeline.query("acme", f"SELECT {columns} FROM {view}_history WHERE valid_from <= '{at}' AND "
                                          f"(valid_to > '{at}' OR valid_to IS NULL) ORDER BY ALL") == rows, (at, view)
    pipeline.verify_clean()


def test_a_history_that_would_be_mistaken_is_refused(pipelines, shop):
    pipeline = pipelines({"acme": shop}, views={
        "sales": {"sql": "SELECT id, placed_at AS valid_from FROM orders", "history": True},
        "daily": {"sql": DAILY, "history": True}, "daily_history": {"sql": "SELECT id FROM users"}})
    done = pipeline.command("check", "--connect")
    assert done.exit_code == ExitCode.CONFIG
    assert "its history has a column valid_from of its own" in done.errors
    assert "its history would be called daily_history" in done.errors
