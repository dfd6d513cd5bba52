"""From databases that have rows already, and keep changing, to queryable tables that are the same."""

from harness import ExitCode, Workload

VIEWS = {
    "customers": {"sql": "SELECT id, lower(trim(email)) AS email, upper(country) AS country, client.plan AS plan\n"
                         "FROM users"},
    "sales": {"sql": "SELECT id, user_id, total_cents / 100 AS total, client.currency AS currency\n"
                     "FROM orders WHERE status <> 'test'"},
    "catalogue": {"sql": "SELECT * FROM products"},
}


def test_rows_from_before_and_after_the_start_are_queryable(shops, pipelines):
    acme, globex = shops("acme", "globex")
    writers = [Workload(acme, seed=1).seed_rows(), Workload(globex, seed=2).seed_rows()]
    pipeline = pipelines({"acme": acme, "globex": globex}).start_and_wait()
    for writer in writers:
        writer.run(steps=150).close()
    pipeline.wait_queryable()
    for client, database in pipeline.databases.items():
        for view in ("users", "orders", "order_items", "products", "wide", "visits"):
            assert pipeline.count(client, view) == database.value(f"SELECT count(*) FROM {view}"), (client, view)
    pipeline.verify_clean()


def test_a_client_sees_only_its_own_rows(shops, pipelines):
    acme, globex = shops("acme", "globex")
    acme.execute("INSERT INTO users (id, email) VALUES (1, 'a@acme.example'), (2, 'b@acme.example')")
    globex.execute("INSERT INTO users (id, email) VALUES (1, 'c@globex.example')")
    pipeline = pipelines({"acme": acme, "globex": globex})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert [row["email"] for row in pipeline.query("acme", "SELECT email FROM users ORDER BY id")] == \
        ["a@acme.example", "b@acme.example"]
    assert [row["email"] for row in pipeline.query("globex", "SELECT email FROM users")] == ["c@globex.example"]


def test_snapshot_and_stream_meet_while_writers_go_on(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=3).seed_rows(users=2000, orders=2000).start(rate=200)
    pipeline = pipelines({"acme": {"database": acme, "limits": {"snapshot_rows_per_second": 3000}}}).start()
    try:
        pipeline.wait_state("snapshot")
        pipeline.wait_state("streaming", limit=60)
        pipeline.verify_clean()  # beside the writer
    finally:
        writer.close()
    pipeline.verify_clean()


def test_views_filter_normalize_and_know_the_clients_attributes(shops, pipelines):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": {"database": acme, "attributes": {"plan": "gold", "currency": "EUR"}},
                          "globex": {"database": globex, "attributes": {"plan": "free", "currency": "USD"}}},
                         views=VIEWS)
    acme.execute("INSERT INTO users (id, email, country) VALUES (1, ' Ann@Example.COM ', 'de')")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'new', 250), (2, 1, 'test', 1)")
    pipeline.start_and_wait()
    globex.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'new', 99)")
    pipeline.wait_queryable()
    assert pipeline.query("acme", "SELECT email, country, plan FROM customers") == \
        [{"email": "ann@example.com", "country": "DE", "plan": "gold"}]
    assert pipeline.query("acme", "SELECT id, currency FROM sales") == [{"id": 1, "currency": "EUR"}]
    assert pipeline.query("globex", "SELECT id, currency FROM sales") == [{"id": 1, "currency": "USD"}]
    pipeline.verify_clean()


def test_a_row_that_leaves_the_filter_leaves_the_view_and_may_return(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'new', 5), (2, 1, 'new', 6)")
    pipeline = pipelines({"acme": {"database": acme, "attributes": {"plan": "x", "currency": "EUR"}}}, views=VIEWS)
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    assert pipeline.count("acme", "sales") == 2
    acme.execute("UPDATE orders SET status = 'test' WHERE id = 1")
    pipeline.wait_queryable()
    assert [row["id"] for row in pipeline.query("acme", "SELECT id FROM sales")] == [2]
    acme.execute("UPDATE orders SET status = 'paid' WHERE id = 1")
    pipeline.wait_queryable()
    assert pipeline.count("acme", "sales") == 2
    pipeline.verify_clean()


def test_a_row_that_cannot_be_computed_is_set_aside_alone(shops, pipelines):
    acme, globex = shops("acme", "globex")
    views = {"numbers": {"sql": "SELECT id, CAST(note AS INTEGER) AS number FROM orders"}}
    pipeline = pipelines({"acme": acme, "globex": globex}, views=views).start_and_wait()
    for database in (acme, globex):
        database.execute("INSERT INTO orders (id, user_id, status, total_cents, note) VALUES "
                         "(1, 1, 'new', 1, '11'), (2, 1, 'new', 1, '12')")
    pipeline.wait_queryable()
    acme.execute("UPDATE orders SET note = 'twelve' WHERE id = 2")
    pipeline.wait_queryable()
    assert [row["number"] for row in pipeline.query("acme", "SELECT number FROM numbers")] == [11]
    assert pipeline.count("globex", "numbers") == 2
    assert pipeline.client_status("acme")["dead_letters"] == 1
    assert pipeline.client_status("globex")["dead_letters"] == 0
    pipeline.verify_clean()  # excepts exactly that row
    acme.execute("UPDATE orders SET note = '13' WHERE id = 2")
    pipeline.wait_queryable()
    assert [row["number"] for row in pipeline.query("acme", "SELECT number FROM numbers ORDER BY id")] == [11, 13]
    assert pipeline.client_status("acme")["dead_letters"] == 0
