"""What is taken out of the pipeline file, and put in again."""

import pytest

from harness import ExitCode, Workload
from harness.shop import own

VIEWS = {"paid": {"sql": "SELECT id, status FROM orders WHERE status = 'paid'"},
         "statuses": {"sql": "SELECT status, count(*) AS orders FROM orders GROUP BY ALL"}}


def test_a_view_that_is_taken_out_answers_no_more_and_comes_back_whole(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=81).seed_rows()
    pipeline = pipelines({"acme": acme}, views=dict(VIEWS))
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert pipeline.count("acme", "statuses") > 0
    taken = pipeline.content["views"].pop("statuses")
    pipeline.write()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    gone = pipeline.command("query", "--client", "acme", "SELECT * FROM statuses")
    assert gone.exit_code not in (ExitCode.OK, ExitCode.INTERNAL) and "statuses" in gone.errors, gone
    assert pipeline.count("acme", "paid") >= 0
    writer.run(40)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.content["views"]["statuses"] = taken
    pipeline.write()
    pipeline.start_and_wait()
    writer.run(20)
    pipeline.wait_queryable(limit=60)
    writer.close()
    pipeline.verify_clean()


def test_a_client_that_is_taken_out_is_told_of_and_comes_back_whole(shops, pipelines):
    """While it is out, a view changes: its rows are computed by the new one, too."""
    acme, globex = shops("acme", "globex")
    writers = [Workload(database, seed=82).seed_rows() for database in (acme, globex)]
    pipeline = pipelines({"acme": acme, "globex": globex}, views=dict(VIEWS))
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    taken = pipeline.content["clients"].pop("globex")
    pipeline.content["views"]["statuses"] = {"sql": "SELECT upper(status) AS status, count(*) AS orders FROM orders "
                                                    "GROUP BY ALL"}
    pipeline.write()
    run = pipeline.run_until_caught_up().expect(ExitCode.OK)
    slot = f"tributary_{pipeline.name}_globex"
    assert f"pg_drop_replication_slot('{slot}')" in run.errors
    assert slot in globex.slots(), "it was dropped without being asked for"
    assert any(slot in note for note in pipeline.status()["notes"])
    for writer in writers:
        writer.run(20)
    pipeline.content["clients"]["globex"] = taken
    pipeline.write()
    run = pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert "no longer in the file" not in run.errors
    for writer in writers:
        writer.close()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    assert pipeline.value("globex", "SELECT count() FROM statuses WHERE status <> upper(status)") in (0, "0")


@pytest.mark.parametrize("publication", [None, "FOR ALL TABLES", "FOR TABLES IN SCHEMA public"])
def test_a_domain_that_is_taken_out_for_a_while_has_what_came_meanwhile(shops, pipelines, publication):
    """Also where its table stays published, since the owner made the publication."""
    (acme,) = shops("acme")
    writer = Workload(acme, seed=83).seed_rows()
    pipeline = pipelines({"acme": acme})
    if publication:
        acme.execute(f"CREATE PUBLICATION tributary_{pipeline.name}_acme {publication} WITH (publish_via_partition_root = true)")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    taken = pipeline.content["domains"].pop("orders")
    pipeline.write()
    writer.run(40)
    acme.execute("DELETE FROM orders WHERE id % 3 = 0")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.content["domains"]["orders"] = taken
    pipeline.write()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    writer.close()


@pytest.mark.parametrize("after", [
    {"x": "public.b", "y": "public.a"}, {"z": "public.a", "y": "public.b"}, {"y": "public.a"}, {"x": "public.b", "y": "public.c"}],
    ids=["exchanged", "renamed", "taken over", "moved on"])
def test_a_domain_has_the_rows_of_the_table_that_the_file_names(shops, pipelines, after):
    (acme,) = shops("acme")
    for number, table in enumerate("abc"):
        own(acme, f"CREATE TABLE {table} (id integer PRIMARY KEY, v text)")
        acme.execute(f"INSERT INTO {table} SELECT g, '{table}' FROM generate_series({number * 10}, {number * 10 + 15}) g")
    domains = {"x": "public.a", "y": "public.b"}
    pipeline = pipelines({"acme": acme}, domains={})
    for named in (domains, after, domains):
        pipeline.content["domains"] = {name: {"table": table, "event": name} for name, table in named.items()}
        pipeline.content["views"] = {f"of_{name}": {"sql": f"SELECT v, count(*) AS n FROM {name} GROUP BY ALL"} for name in named}
        pipeline.write()
        pipeline.start_and_wait()
        acme.execute("UPDATE a SET v = v || '.' WHERE id % 3 = 0; DELETE FROM b WHERE id % 5 = 0; INSERT INTO b SELECT 60 + count(*) FROM b")
        pipeline.wait_queryable()
        pipeline.verify_clean()
        pipeline.terminate()
