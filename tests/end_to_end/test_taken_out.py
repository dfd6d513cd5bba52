"""What is taken out of the pipeline file, and put in again."""

from harness import ExitCode, Workload

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
