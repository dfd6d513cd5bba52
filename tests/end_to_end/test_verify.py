"""verify finds what was made different by hand, says where, and keeps the clients apart.

To make a difference, the source is changed while its publication leaves the table out: the change is in the write-ahead
log and is not sent, as if it had been lost on the way.
"""

import contextlib

import pytest

from harness import ExitCode, Workload


@contextlib.contextmanager
def unseen(database, table):
    """Changes of `table` inside are not sent to the pipeline."""
    (publication,) = [name for (name,) in database.rows("SELECT pubname FROM pg_publication")]
    database.execute(f"ALTER PUBLICATION {publication} DROP TABLE {table}")
    yield
    database.execute(f"ALTER PUBLICATION {publication} ADD TABLE {table}")


@pytest.fixture
def stopped(shops, pipelines):
    """Two clients, caught up; the pipeline does not run."""
    acme, globex = shops("acme", "globex")
    for number, database in enumerate((acme, globex)):
        database.execute("INSERT INTO orders (id, user_id, status, total_cents, note) "
                         "SELECT g, g %% 7, 'new', g * 10 + %s, md5(g::text) FROM generate_series(1, 500) g", (number,))
    pipeline = pipelines({"acme": acme, "globex": globex})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    return pipeline


def find(pipeline, *words, but_not=()):
    """verify has to see a difference, and its answer to hold each of `words`."""
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    output = pipeline.verify().expect(ExitCode.DIFFERENCE).output
    for word in words:
        assert word in output, output
    for word in but_not:
        assert word not in output, output
    return output


def test_a_changed_row_is_found(stopped):
    acme = stopped.databases["acme"]
    with unseen(acme, "orders"):
        acme.execute("UPDATE orders SET total_cents = total_cents + 1 WHERE id = 137")
    find(stopped, "acme", "orders", "137", "total_cents")
    stopped.verify("--client", "globex").expect(ExitCode.OK)
    stopped.verify("--client", "acme", "--view", "users").expect(ExitCode.OK)
    stopped.verify("--client", "acme", "--view", "orders").expect(ExitCode.DIFFERENCE)
    acme.execute("UPDATE orders SET total_cents = total_cents WHERE id = 137")  # sent: agrees again
    stopped.run_until_caught_up().expect(ExitCode.OK)
    stopped.verify_clean()


def test_a_lost_row_is_found(stopped):
    acme = stopped.databases["acme"]
    with unseen(acme, "orders"):
        acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (90137, 1, 'new', 1)")
    find(stopped, "acme", "orders", "90137")


def test_a_row_that_should_have_gone_is_found(stopped):
    acme = stopped.databases["acme"]
    with unseen(acme, "orders"):
        acme.execute("DELETE FROM orders WHERE id = 138")
    find(stopped, "acme", "orders", "138")


def test_a_doubled_row_is_found(stopped):
    acme = stopped.databases["acme"]
    acme.execute("INSERT INTO orders SELECT 90200, user_id, status, total_cents, note, placed_at FROM orders "
                 "WHERE id = 200")
    stopped.run_until_caught_up().expect(ExitCode.OK)
    stopped.verify_clean()
    with unseen(acme, "orders"):
        acme.execute("DELETE FROM orders WHERE id = 90200")  # the analytics hold row 200 twice now
    find(stopped, "acme", "orders", "90200")


def test_rows_swapped_between_clients_are_found_in_both(stopped):
    for client, total in (("acme", 3001), ("globex", 3000)):  # each gets the other's total of row 300
        database = stopped.databases[client]
        with unseen(database, "orders"):
            database.execute("UPDATE orders SET total_cents = %s WHERE id = 300", (total,))
    output = find(stopped, "acme", "globex", "300")
    assert output.count("300") >= 2


def test_a_client_that_cannot_be_read_is_named_and_the_others_are_compared(stopped):
    with unseen(stopped.databases["globex"], "orders"):
        stopped.databases["globex"].execute("DELETE FROM orders WHERE id = 1")
    acme = stopped.databases["acme"]
    acme.execute("REVOKE ALL ON orders FROM shop_owner")
    done = stopped.verify()
    assert done.exit_code not in (ExitCode.OK,)
    assert "acme" in done.output + done.errors and "permission denied" in done.output + done.errors
    assert "globex" in done.output


def test_a_difference_is_found_and_nothing_is_imagined_while_writers_go_on(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=21, first_id=1000).seed_rows()
    pipeline = pipelines({"acme": acme}).start_and_wait()
    writer.start(rate=250)  # about 1,000 rows a second
    try:
        for _ in range(2):
            pipeline.verify_clean()
        acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, 'left alone', 1)")
        pipeline.wait_queryable()
        with unseen(acme, "orders"):
            acme.execute("UPDATE orders SET status = 'changed by hand' WHERE id = 1")
        assert "changed by hand" in pipeline.verify().expect(ExitCode.DIFFERENCE).output
    finally:
        writer.close()
