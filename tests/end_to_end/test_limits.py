"""`limits:` of a client: how fast it is read."""

from harness import ExitCode, create_shop, wait_for
from harness.postgres import READER

LIMIT = 50


def held(pipeline, client="acme"):
    return pipeline.client_status(client)["pace"]["held"]


def test_rows_per_second_holds_one_client_back_and_loses_nothing(shops, pipelines):
    """A snapshot and a stream are both held; the other client flows; without the limit all arrives."""
    acme, globex = shops("acme", "globex")
    for database in (acme, globex):
        database.execute("INSERT INTO visits SELECT gen_random_uuid(), 'before', n FROM generate_series(1, 2000) n")
    pipeline = pipelines({"acme": {"database": acme, "limits": {"rows_per_second": LIMIT}}, "globex": globex})
    pipeline.start()
    pipeline.wait_state("streaming", client="globex")
    wait_for(lambda: held(pipeline), 30, "acme's snapshot to be held", seen=pipeline.log_tail)
    assert pipeline.client_status("acme")["pace"]["rows_per_second"] == LIMIT
    assert not held(pipeline, "globex")
    for database in (acme, globex):
        database.execute("INSERT INTO visits SELECT gen_random_uuid(), 'after', n FROM generate_series(1, 2000) n")
    wait_for(lambda: pipeline.count("globex", "visits") == 4000, 60, "globex to have all", seen=pipeline.log_tail)
    assert pipeline.client_status("acme")["captured_events"] < 4000
    assert f"held to rows_per_second {LIMIT}" in pipeline.command("status").expect(ExitCode.OK).output
    code, _ = pipeline.terminate()
    assert code == ExitCode.OK
    del pipeline.content["clients"]["acme"]["limits"]
    pipeline.write()
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()


def test_keepalives_go_on_inside_a_transaction_that_is_held(own_server, pipelines):
    """A server that hears nothing for wal_sender_timeout cuts the connection: it hears of us while a transaction takes longer."""
    acme = create_shop(own_server(wal_sender_timeout="12s"), "shop")
    pipeline = pipelines({"acme": {"database": acme, "limits": {"rows_per_second": 400}}}).start_and_wait("streaming")

    def walsenders():
        return acme.rows("SELECT pid FROM pg_stat_replication WHERE state = 'streaming'")

    wait_for(lambda: len(walsenders()) == 1, 20, "the stream")
    before = walsenders()
    acme.execute("INSERT INTO visits SELECT gen_random_uuid(), 'held', n FROM generate_series(1, 10000) n")
    wait_for(lambda: held(pipeline), 30, "the transaction to be held", seen=pipeline.log_tail)
    wait_for(lambda: pipeline.client_status("acme")["captured_events"] >= 10000, 120, "all of it", seen=pipeline.log_tail)
    assert walsenders() == before, "the connection was cut and made again"
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_a_snapshot_keeps_no_transaction_open(shops, pipelines):
    """Whatever was open when it began has ended before it is through: vacuum is not held back by the whole of a table."""
    (acme,) = shops("acme")
    acme.execute("INSERT INTO visits SELECT gen_random_uuid(), 'before', n FROM generate_series(1, 60000) n")
    pipeline = pipelines({"acme": {"database": acme, "limits": {"snapshot_rows_per_second": 10000}}}).start()
    open_while, fractions = {}, set()  # (process, begin of its transaction) -> what was read when it was seen

    def through():
        client = pipeline.client_status("acme")
        read = max((of["fraction"] for of in client["snapshots"] if of["table"].endswith("visits")), default=0)
        fractions.add(read)
        for of in acme.rows("SELECT pid, xact_start FROM pg_stat_activity WHERE usename = %s AND xact_start IS NOT NULL "
                            "AND backend_type = 'client backend'", (READER,)):
            open_while.setdefault(of, []).append(read)
        return client["state"] == "streaming"

    wait_for(through, 90, "the snapshot to be through", seen=pipeline.log_tail)
    assert len([read for read in fractions if 0 < read < 1]) >= 3, f"seen in too few chunks to tell: {fractions}"
    for of, reads in open_while.items():
        assert len(set(reads)) <= 2, f"one transaction over several chunks: {of} at {reads}"
    pipeline.verify_clean()


def test_a_slot_that_keeps_more_than_retained_wal_max_is_warned_of(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": {"database": acme, "limits": {"retained_wal_max": "1KiB"}}}).start_and_wait("streaming")

    def warned():
        acme.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 20000))")  # so that the slot keeps something
        return any("retained_wal_max" in line for line in pipeline.client_status("acme")["warnings"])

    wait_for(warned, 60, "the warning", interval=0.2, seen=pipeline.log_tail)
    wait_for(lambda: warned() and "warning: the slot keeps" in pipeline.command("status").expect(ExitCode.OK).output, 60,
             "status to say it", interval=0.2)
    assert pipeline.client_status("acme")["state"] == "streaming", "only warned about"
    wait_for(lambda: warned() and "retained_wal_max" in pipeline.log_text(), 60, "the log to say it", interval=0.2)


def test_what_has_no_effect_is_said(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": {"database": acme, "limits": {"queries_at_once": 4}}},
                         settings={"log": {"at": "embedded", "topics": "{pipeline}.{domain}"},
                                   "process": {"at": "native", "memory": "1GiB"}})
    done = pipeline.command("check")
    assert done.exit_code == ExitCode.OK
    for note in ("log: topics has no effect with log: embedded", "process: memory has no effect",
                 "serve has no effect yet", "limits of queries have no effect yet"):
        assert note in done.output + done.errors, note
    run = pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert "note: " in run.errors and "process: memory has no effect" in run.errors
