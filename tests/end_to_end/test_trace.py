"""trace: where a row comes from, and what makes up the number of an aggregate."""

import json

import pytest

from harness import ExitCode, wait_for

VIEWS = {"lines": {"sql": "SELECT id, user_id, status, CAST(total_cents AS DECIMAL(18,2)) * 0.01 AS total FROM orders "
                          "WHERE status <> 'test'"},
         "sales": {"sql": "SELECT l.id, l.total, u.email FROM lines l LEFT JOIN users u ON u.id = l.user_id"},
         "revenue": {"sql": "SELECT status, count(*) AS orders, sum(total) AS revenue FROM lines GROUP BY status"}}


def insert_order(shop, number, user, status, cents):
    shop.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (%s, %s, %s, %s)", (number, user, status, cents))


@pytest.fixture
def traced(shops, pipelines):
    acme, globex = shops("acme", "globex")
    for shop in (acme, globex):
        shop.execute("INSERT INTO users (id, email) VALUES (1, 'a@example'), (2, 'b@example')")
    pipeline = pipelines({"acme": acme, "globex": globex}, views=dict(VIEWS))
    pipeline.start_and_wait()
    insert_order(acme, 42, 1, "paid", 1000)
    insert_order(acme, 43, 2, "paid", 250)
    insert_order(globex, 42, 2, "paid", 77)
    acme.execute("UPDATE orders SET total_cents = 1550 WHERE id = 42")
    acme.execute("UPDATE users SET email = 'c@example' WHERE id = 1")
    acme.execute("UPDATE orders SET status = 'test' WHERE id = 42")
    acme.execute("UPDATE orders SET status = 'open' WHERE id = 42")
    acme.execute("DELETE FROM orders WHERE id = 42")
    pipeline.wait_queryable()
    wait_for(lambda: all("stored" in event for event in trace(pipeline, "orders", "42")["events"]), 20,
             "the run to note how far it is")
    return pipeline


def trace(pipeline, *words):
    return json.loads(pipeline.command("trace", "--client", "acme", "--json", *words).expect(ExitCode.OK).output)


def change(event, view):
    found = [(of["before"], of["after"]) for of in event["views"] if of["view"] == view]
    return found[0] if found else None


def test_a_row_read_from_a_table_is_told_apart_from_those_read_with_it(shop, pipelines):
    for number, cents in ((41, 100), (42, 1000), (43, 10)):
        insert_order(shop, number, 1, "paid", cents)
    pipeline = pipelines({"acme": shop}, views=dict(VIEWS))
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    (event,) = trace(pipeline, "orders", "42")["events"]
    assert event["value"]["op"] == "r"
    changes = {of["view"]: (of["before"], of["after"]) for of in event["views"]}
    assert len(event["views"]) == len(changes) == 3, event["views"]
    assert changes["lines"][0] is None and changes["lines"][1]["id"] == 42
    assert [row["revenue"] for row in changes["revenue"]] == ["1.1", "11.1"]


@pytest.mark.parametrize("running", [True, False])
def test_every_event_of_a_row_and_what_it_did_to_every_view(traced, running):
    if not running:
        traced.terminate()
    answer = trace(traced, "orders", "42")
    assert answer["key"] == "(42)" and answer["release"] == 1 and answer["dead_letters"] == []
    events = answer["events"]
    assert [event["event"] for event in events] == ["order.created"] + 3 * ["order.updated"] + ["order.deleted"]
    assert [event["position"] for event in events] == sorted(event["position"] for event in events)
    assert len({event["log"]["offset"] for event in events}) == 5 and len({event["log"]["partition"] for event in events}) == 1
    assert all(event["value"]["source"]["txId"] for event in events)
    for event in events:  # seen by the second, each step not before the one before
        seen = [event[step]["by_micros"] for step in ("captured", "processed", "stored")]
        assert seen == sorted(seen) and seen[0] >= event["value"]["source"]["ts_ms"] * 1000, event
    before, after = change(events[0], "lines")
    assert before is None and after["total"] == "10" or float(after["total"]) == 10
    before, after = change(events[1], "lines")
    assert float(before["total"]) == 10 and float(after["total"]) == 15.5
    # The join as it was then: the user was renamed later.
    assert change(events[1], "sales")[1]["email"] == "a@example"
    assert change(events[2], "sales")[0]["email"] == "c@example" and change(events[2], "sales")[1] is None
    paid = change(events[1], "revenue")
    assert float(paid[0]["revenue"]) == 12.5 and float(paid[1]["revenue"]) == 18 and paid[1]["orders"] == 2
    assert change(events[2], "lines")[1] is None, "it left the filter"
    assert change(events[4], "lines")[1] is None and change(events[4], "lines")[0]["status"] == "open"
    text = traced.command("trace", "--client", "acme", "--limit", "2", "orders", "42").expect(ExitCode.OK).output
    assert "captured by 20" in text and "stored by 20" in text
    assert "5 events" in text and "the newest 2" in text and text.count("order.updated") == 1


def test_the_rows_that_make_up_a_number_and_their_sum(traced):
    insert_order(traced.databases["acme"], 44, 1, "paid", 1)
    traced.wait_queryable()
    answer = trace(traced, "revenue", "paid")
    assert answer["row"]["orders"] == 2 and float(answer["row"]["revenue"]) == 2.51
    rows = answer["from"]["rows"]
    assert len(rows) == 2
    calls = {call["column"]: call for call in answer["from"]["calls"]}
    assert set(calls) == {"orders", "revenue"} and all(call["equal"] for call in calls.values()), calls
    assert float(calls["revenue"]["from_rows"]) == 2.51
    of_line = trace(traced, "lines", "43")
    assert of_line["row"]["status"] == "paid" and of_line["of"]["events"][0]["event"] == "order.created"


def test_each_row_of_a_number_has_its_key_and_a_name_for_each_value(shop, pipelines):
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'a@example')")
    for number, status, cents in ((41, "paid", 100), (42, "paid", 301), (43, "paid", 100), (44, "open", 7)):
        insert_order(shop, number, 1, status, cents)
    pipeline = pipelines({"acme": shop}, views={
        "facts": {"sql": "SELECT upper(status) AS state, avg(total_cents) AS mean, min(id) AS first, max(total_cents * 2) AS "
                         "most, count(DISTINCT user_id) AS users, sum(total_cents) FILTER (WHERE id > 100) AS late "
                         "FROM orders GROUP BY upper(status)"},
        "joined": {"sql": "SELECT u.email, count(*) AS n FROM orders o JOIN users u ON u.id = o.user_id GROUP BY u.email"}})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    told = trace(pipeline, "facts", "PAID")["from"]
    assert [row[0] for row in told["rows"]] == ["(41)", "(42)", "(43)"]
    assert told["columns"][:3] == ["key", "state", "total_cents"] and "#" not in "".join(told["columns"]), told["columns"]
    assert len(told["columns"]) == len(told["rows"][0])
    calls = {call["column"]: call for call in told["calls"]}
    assert set(calls) == {"mean", "first", "most", "users", "late"} and all(call["equal"] for call in calls.values()), calls
    assert float(calls["mean"]["from_rows"]) == 167.0 and calls["most"]["live"] == 602
    assert calls["late"]["live"] is None and calls["late"]["from_rows"] == "null"
    joined = trace(pipeline, "joined", "a@example")["from"]
    assert len(joined["rows"]) == 4 and len({row[0] for row in joined["rows"]}) == 4
    nothing = pipeline.command("trace", "--client", "acme", "facts", "GONE").expect(ExitCode.USAGE)
    assert "no row of client acme has the key GONE" in nothing.errors and "in the view" not in nothing.output


def test_bad_input(traced):
    for words, told in [(("orders",), "0 values"), (("orders", "1", "2"), "2 values"),
                        (("nothing", "1"), "no domain")]:
        refused = traced.command("trace", "--client", "acme", *words)
        assert refused.exit_code != ExitCode.OK and told in refused.errors, refused
    # A key that is nowhere; one whose row was deleted has events.
    for words in (("orders", "999999"), ("lines", "999999"), ("revenue", "nothing")):
        for form in ((), ("--json",)):
            nowhere = traced.command("trace", "--client", "acme", *form, *words).expect(ExitCode.USAGE)
            assert f"no event and no row of client acme has the key {words[1]} in {words[0]}" in nowhere.errors
    traced.command("trace", "--client", "acme", "orders", "42").expect(ExitCode.OK)
    traced.command("trace", "--client", "acme", "lines", "42").expect(ExitCode.OK)
    assert "no client" in traced.command("trace", "--client", "nobody", "orders", "1").expect(ExitCode.USAGE).errors
