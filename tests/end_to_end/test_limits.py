"""`limits:` of a client: how fast it is read."""

from harness import ExitCode, wait_for

LIMIT = 50


def held(pipeline, client="acme"):
    return pipeline.client_status(client)["pace"]["held"]


def test_rows_per_second_holds_one_client_back_and_loses_nothing(shops, pipelines):
    """A snapshot and a stream are both held; keepalives go on; the other client flows; without the limit all arrives."""
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
