"""Releases: the views of a changed file are built from raw beside what is live, compared, switched to and taken back."""

import json
import os
import signal
import subprocess
import threading

from harness import ExitCode, Workload
from harness.by_hand import change_rows
from harness.pipeline import program
from harness.waiting import wait_for

VIEWS = {"paid": {"sql": "SELECT id, status FROM orders WHERE status = 'paid'"},
         "statuses": {"sql": "SELECT status, count(*) AS orders FROM orders GROUP BY ALL"},
         "people": {"sql": "SELECT id, lower(email) AS email FROM users"}}
OTHER_STATUSES = {"sql": "SELECT upper(status) AS status, count(*) AS orders FROM orders GROUP BY ALL"}


def releases(pipeline):
    answer = pipeline.command("release", "list", "--json").expect(ExitCode.OK)
    return {release["number"]: release for release in json.loads(answer.output)["releases"]}


def live(pipeline):
    (number,) = [number for number, release in releases(pipeline).items() if release["state"] == "live"]
    return number


def statuses(pipeline, client="acme"):
    return {row["status"] for row in pipeline.query(client, "SELECT status FROM statuses")}


def edit(pipeline, **views):
    pipeline.content["views"].update(views)
    pipeline.write()


def test_a_changed_view_is_built_beside_compared_switched_to_and_taken_back(shops, pipelines):
    acme, globex = shops("acme", "globex")
    writers = [Workload(database, seed=7 + i).seed_rows() for i, database in enumerate((acme, globex))]
    pipeline = pipelines({"acme": acme, "globex": globex}, views=dict(VIEWS))
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    before = statuses(pipeline)
    assert before and before == {status.lower() for status in before}

    edit(pipeline, statuses=OTHER_STATUSES)
    made = pipeline.command("replay").expect(ExitCode.OK)
    assert "release 2 is ready" in made.output
    assert statuses(pipeline) == before, "readers saw it before the switch"
    assert {number: release["state"] for number, release in releases(pipeline).items()} == {1: "live", 2: "ready"}
    built = {view["view"]: view["shared"] for view in releases(pipeline)[2]["views"]}
    assert built == {"paid": True, "statuses": False, "people": True}, "what did not change is computed once"

    for writer in writers:
        writer.run(30)
    pipeline.wait_queryable()
    diff = json.loads(pipeline.command("release", "diff", "--json").expect(ExitCode.OK).output)
    assert set(diff["unchanged"]) == {"paid", "people"}
    entries = {entry["client"]: entry for entry in diff["views"]}
    assert set(entries) == {"acme", "globex"} and all(entry["view"] == "statuses" for entry in entries.values())
    now = statuses(pipeline)
    assert entries["acme"]["rows_before"] == len(now) == entries["acme"]["removed"]
    assert entries["acme"]["added"] == len({status.upper() for status in now})
    assert entries["acme"]["sums"] == {}, "as many orders by either"
    assert "added" in pipeline.command("release", "diff", "2", "--client", "acme").expect(ExitCode.OK).output

    assert "release 2 is live" in pipeline.command("release", "switch").expect(ExitCode.OK).output
    assert statuses(pipeline) == {status.upper() for status in now}
    pipeline.verify_clean()
    for writer in writers:
        writer.run(20)
    pipeline.wait_queryable()
    assert "release 1 is live" in pipeline.command("release", "rollback").expect(ExitCode.OK).output
    assert all(status == status.lower() for status in statuses(pipeline))
    assert "those that are, are verified" in pipeline.verify_clean().errors
    edit(pipeline, statuses=VIEWS["statuses"])
    pipeline.verify_clean()

    # A restart with views of a kept release changes nothing: switching is a person's.
    edit(pipeline, statuses=OTHER_STATUSES)
    pipeline.terminate()
    pipeline.start_and_wait()
    assert live(pipeline) == 1
    assert any("release 2" in note for note in pipeline.status()["notes"])
    assert "the views of the file are release 2" in pipeline.run_log.read_text()
    assert all(status == status.lower() for status in statuses(pipeline))
    pipeline.command("release", "switch", "2").expect(ExitCode.OK)
    pipeline.command("release", "drop", "1").expect(ExitCode.OK)
    assert set(releases(pipeline)) == {2}
    for writer in writers:
        writer.close()
    pipeline.wait_queryable()
    pipeline.verify_clean()
    gone = pipeline.command("release", "rollback")
    assert gone.exit_code != ExitCode.OK and "is kept" in gone.errors


def test_replaying_what_did_not_change_gives_equal_tables(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=17).seed_rows()
    writer.run(60)
    writer.close()
    pipeline = pipelines({"acme": acme}, views=dict(VIEWS))
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    made = json.loads(pipeline.command("replay", "--json").expect(ExitCode.OK).output)
    assert made["state"] == "ready" and not any(view["shared"] for view in made["views"])
    diff = json.loads(pipeline.command("release", "diff", "--json").expect(ExitCode.OK).output)
    assert diff["state"] == "ready", "of a stopped pipeline, too"
    assert "still being built" not in pipeline.command("release", "diff").expect(ExitCode.OK).output
    assert {entry["view"] for entry in diff["views"]} == set(VIEWS)
    for entry in diff["views"]:
        assert entry["rows_before"] == entry["rows_after"] > 0
        assert (entry["added"], entry["removed"], entry["changed"]) == (0, 0, 0), entry
    # And so does one view alone, whose others are shared.
    pipeline.command("release", "drop").expect(ExitCode.OK)
    made = json.loads(pipeline.command("replay", "--view", "statuses", "--json").expect(ExitCode.OK).output)
    assert {view["view"] for view in made["views"] if not view["shared"]} == {"statuses"}
    # What a later release shares was computed for the earlier one all the same.
    edit(pipeline, paid={"sql": VIEWS["paid"]["sql"].replace("'paid'", "'new'")})
    later = json.loads(pipeline.command("replay", "--json").expect(ExitCode.OK).output)["number"]
    listed = {line.split()[0]: line for line in pipeline.command("release").expect(ExitCode.OK).output.splitlines()}
    assert listed[str(made["number"])].split()[-1] == "statuses" and "paid" in listed[str(later)]
    pipeline.command("release", "drop", str(later)).expect(ExitCode.OK)
    edit(pipeline, paid=VIEWS["paid"])
    pipeline.command("release", "switch").expect(ExitCode.OK)
    pipeline.verify_clean()


def test_a_part_is_to_look_at_and_not_to_switch_to(shops, pipelines):
    acme, globex = shops("acme", "globex")
    for i, database in enumerate((acme, globex)):
        Workload(database, seed=27 + i).seed_rows().close()
    pipeline = pipelines({"acme": acme, "globex": globex}, views=dict(VIEWS))
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    edit(pipeline, statuses=OTHER_STATUSES)
    made = json.loads(pipeline.command("replay", "--client", "acme", "--json").expect(ExitCode.OK).output)
    assert made["state"] == "partial" and made["clients"] == ["acme"]
    diff = json.loads(pipeline.command("release", "diff", "--json").expect(ExitCode.OK).output)
    assert {entry["client"] for entry in diff["views"]} == {"acme"}
    refused = pipeline.command("release", "switch")
    assert refused.exit_code != ExitCode.OK and "part of raw" in refused.errors
    nothing = json.loads(pipeline.command("replay", "--to", "2001-01-01", "--json").expect(ExitCode.OK).output)
    assert nothing["state"] == "partial"
    diff = json.loads(pipeline.command("release", "diff", str(nothing["number"]), "--json").expect(ExitCode.OK).output)
    assert all(entry["rows_after"] == 0 for entry in diff["views"])


def test_rows_that_are_tried_again_stay_within_what_a_part_is_fed_with(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO users (id, email) VALUES (1, 'a@b.example'); "
                 "INSERT INTO orders (id, user_id, status, total_cents, note) VALUES (1, 1, 'paid', 5, '1'), (2, 1, 'paid', 5, 'x')")
    pipeline = pipelines({"acme": acme}, views={"numbers": {"sql": "SELECT id, CAST(note AS INTEGER) AS number FROM orders"}})
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    until = acme.value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC' + interval '1 s', 'YYYY-MM-DD\"T\"HH24:MI:SS')")
    wait_for(lambda: acme.value("SELECT clock_timestamp() AT TIME ZONE 'UTC' >= %s::timestamp", (until,)), 10, "that second")
    acme.execute("UPDATE orders SET note = 'one' WHERE id = 1; UPDATE orders SET note = '2' WHERE id = 2")
    pipeline.wait_queryable()
    edit(pipeline, numbers={"sql": "SELECT id, CAST(note AS INTEGER) + 100 AS number FROM orders"})
    made = json.loads(pipeline.command("replay", "--to", until, "--json").expect(ExitCode.OK).output)
    assert made["state"] == "partial"

    def rows():
        (entry,) = json.loads(pipeline.command("release", "diff", "--json").expect(ExitCode.OK).output)["views"]
        return entry["samples"]["added"], entry["samples"]["removed"], entry["rows_after"]

    before = rows()
    assert before == ([{"id": 1, "number": 101}], [{"id": 2, "number": 2}], 1), before
    (letter,) = json.loads(pipeline.command("dead-letters", "list", "--json").expect(ExitCode.OK).output)
    for order in ([letter["id"]], []):
        pipeline.command("dead-letters", "retry", *order, "--client", "acme", "--view", "numbers").expect(ExitCode.OK)
        pipeline.wait_queryable()
        assert rows() == before


def test_bad_input(shops, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, views=dict(VIEWS))
    early = pipeline.command("replay")
    assert early.exit_code != ExitCode.OK and "nothing to replay" in early.errors
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert "did you mean paid" in pipeline.command("replay", "--view", "piad").expect(ExitCode.USAGE).errors
    assert "no client" in pipeline.command("replay", "--client", "nobody").expect(ExitCode.USAGE).errors
    pipeline.command("replay", "--from", "yesterday").expect(ExitCode.USAGE)
    pipeline.command("release", "swap").expect(ExitCode.USAGE)
    assert "no release 9" in pipeline.command("release", "switch", "9").errors
    assert "no release beside" in pipeline.command("release", "switch").errors
    assert "is live" in pipeline.command("release", "drop", "1").errors
    edit(pipeline, paid={"sql": "SELECT nothing FROM orders"})
    assert "nothing" in pipeline.command("replay").expect(ExitCode.CONFIG).errors
    assert set(releases_of_good_file(pipeline)) == {1}


def releases_of_good_file(pipeline):
    edit(pipeline, paid=VIEWS["paid"])
    return releases(pipeline)


def test_interrupted_on_a_stopped_pipeline_it_says_that_nothing_builds_it(shops, pipelines):
    (acme,) = shops("acme")
    Workload(acme, seed=61).seed_rows().run(600)
    pipeline = pipelines({"acme": acme}, views=dict(VIEWS))
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    edit(pipeline, statuses=OTHER_STATUSES)
    replay = subprocess.Popen([program(), "replay", str(pipeline.file), "--rate", "20"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, cwd=pipeline.folder,
                              env={**os.environ, **pipeline.environment})
    assert replay.stderr.readline().startswith("release 2: ")
    replay.send_signal(signal.SIGINT)
    output, _ = replay.communicate(timeout=60)
    assert replay.returncode == ExitCode.TEMPORARY and "nothing builds it now" in output and "tributary run" in output
    # What it lists needs no store: it is away.
    (pipeline.data / "analytics").rename(pipeline.data / "analytics of a store that is away")
    (pipeline.data / "analytics").write_text("")
    listed = releases(pipeline)
    assert {number: release["state"] for number, release in listed.items()} == {1: "live", 2: "building"}
    text = pipeline.command("release", "list").expect(ExitCode.OK).output
    assert "building" in text and "statuses" in text
    (pipeline.data / "analytics").unlink()
    (pipeline.data / "analytics of a store that is away").rename(pipeline.data / "analytics")
    pipeline.start_and_wait()
    wait_for(lambda: releases(pipeline)[2]["state"] == "ready", 60, "the release to go on by itself")
    pipeline.terminate()
    assert {number: release["state"] for number, release in releases(pipeline).items()} == {1: "live", 2: "ready"}


def test_a_replay_asked_for_again_has_the_new_rate(shops, pipelines):
    (acme,) = shops("acme")
    Workload(acme, seed=62).seed_rows().run(600)
    pipeline = pipelines({"acme": acme}, views=dict(VIEWS))
    pipeline.start_and_wait()
    edit(pipeline, statuses=OTHER_STATUSES)
    pipeline.command("replay", "--detach", "--rate", "1").expect(ExitCode.OK)
    wait_for(lambda: releases(pipeline)[2]["events_fed"] > 0, 30, "the release is fed")
    assert releases(pipeline)[2]["state"] == "building"
    pipeline.command("replay", "--detach").expect(ExitCode.OK)
    wait_for(lambda: releases(pipeline)[2]["state"] == "ready", 60, "it is no longer held back")
    assert set(releases(pipeline)) == {1, 2}


def test_killed_while_it_is_built_under_load_it_goes_on_and_readers_never_see_a_mix(shops, pipelines):
    """Three kills, a schema change in the middle, then a switch beneath a reader that asks in a loop."""
    (acme,) = shops("acme")
    writer = Workload(acme, seed=37).seed_rows()
    pipeline = pipelines({"acme": acme}, views=dict(VIEWS))
    pipeline.start_and_wait()
    writer.run(1500)
    pipeline.wait_queryable()
    edit(pipeline, statuses=OTHER_STATUSES)
    pipeline.command("replay", "--detach", "--rate", "150").expect(ExitCode.OK)
    writer.start(rate=50)
    for kill in range(3):
        wait_for(lambda: releases(pipeline)[2]["events_fed"] > 0 or releases(pipeline)[2]["state"] == "ready", 30,
                 "the release is fed")
        assert releases(pipeline)[2]["state"] == "building", "it was whole before it could be killed: lower the rate"
        pipeline.kill()
        if kill == 1:
            acme.execute("ALTER TABLE orders ADD COLUMN note_of_kill text DEFAULT 'x'")
        pipeline.start_and_wait()
        assert live(pipeline) == 1
    pipeline.command("replay").expect(ExitCode.OK)
    assert set(releases(pipeline)) == {1, 2}, "asked again for the same it went on with it"

    mixes, seen, stop = [], set(), threading.Event()

    def read():
        while not stop.is_set():
            rows = statuses(pipeline)
            upper, lower = {s for s in rows if s != s.lower()}, {s for s in rows if s != s.upper()}
            if upper and lower or not rows:
                mixes.append(rows)
            seen.add("upper" if upper else "lower")

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: "lower" in seen, 30, "the reader asks")
    pipeline.command("release", "switch").expect(ExitCode.OK)
    wait_for(lambda: "upper" in seen, 30, "the reader sees the new one")
    stop.set()
    reader.join()
    assert not mixes
    writer.stop()
    writer.close()
    pipeline.wait_queryable()
    pipeline.verify_clean()


def test_preview_shows_what_the_file_would_give_and_touches_nothing(shops, pipelines):
    acme, globex = shops("acme", "globex")
    for i, database in enumerate((acme, globex)):
        Workload(database, seed=47 + i).seed_rows().close()
    pipeline = pipelines({"acme": acme, "globex": globex}, views=dict(VIEWS))
    for running in (False, True):
        if running:
            pipeline.start_and_wait()
        else:
            pipeline.run_until_caught_up().expect(ExitCode.OK)
        edit(pipeline, statuses=OTHER_STATUSES)
        preview = json.loads(pipeline.command("preview", "--view", "statuses", "--client", "acme", "--json")
                             .expect(ExitCode.OK).output)
        now = statuses(pipeline)
        assert preview["rows_before"] == preview["removed"] == len(now)
        assert preview["rows_after"] == preview["added"] == len({status.upper() for status in now})
        column = preview["preview"]["columns"].index("status")
        assert {row[column] for row in preview["preview"]["rows"]} == {status.upper() for status in now}
        text = pipeline.command("preview", "--view", "statuses", "--client", "acme", "--limit", "1").expect(ExitCode.OK)
        assert "removed" in text.output
        assert now == {status.lower() for status in now} and len(releases(pipeline)) == 1
        edit(pipeline, statuses=VIEWS["statuses"])
    assert "is required" in pipeline.command("preview", "--view", "statuses").expect(ExitCode.USAGE).errors
    assert "no view" in pipeline.command("preview", "--view", "x", "--client", "acme").expect(ExitCode.USAGE).errors
    pipeline.verify_clean()


def test_what_is_live_is_what_raw_gives_and_a_row_changed_by_hand_is_found(shops, pipelines):
    (acme,) = shops("acme")
    writer = Workload(acme, seed=57).seed_rows()
    pipeline = pipelines({"acme": acme}, views=dict(VIEWS))
    pipeline.start_and_wait()
    writer.run(60)
    pipeline.wait_queryable()
    assert "equal to what" in pipeline.verify_clean("--against", "raw").output
    writer.start(rate=20)
    pipeline.verify_clean("--against", "raw", "--view", "paid")
    writer.stop()
    writer.close()
    pipeline.wait_queryable()
    change_rows(pipeline, "people", "acme", "id = (SELECT min(id) FROM people WHERE client_id = 'acme')", email="'x@example'")
    pipeline.terminate()
    found = pipeline.verify("--against", "raw").expect(ExitCode.DIFFERENCE)
    assert "x@example" in found.output and "changed 1" in found.output


def test_dead_letters_are_those_of_what_readers_see(shops, pipelines):
    (acme,) = shops("acme")
    acme.execute("INSERT INTO orders (id, user_id, status, total_cents) VALUES (1, 1, '7', 1), (2, 1, 'x', 1), (3, 1, 'y', 1)")
    pipeline = pipelines({"acme": acme}, views={"numbers": {"sql": "SELECT id, CAST(status AS INTEGER) AS n FROM orders"}})
    pipeline.start_and_wait()
    pipeline.wait_queryable()

    def letters():
        listed = json.loads(pipeline.command("dead-letters", "list", "--json").expect(ExitCode.OK).output)
        return len(listed), pipeline.client_status("acme")["dead_letters"]

    assert letters() == (2, 2)
    edit(pipeline, numbers={"sql": "SELECT id, CAST(status AS INTEGER) AS n FROM orders WHERE status <> 'y'"})
    pipeline.command("replay").expect(ExitCode.OK)
    assert letters() == (2, 2)
    pipeline.command("release", "switch").expect(ExitCode.OK)
    assert letters() == (1, 1)
    pipeline.command("release", "rollback").expect(ExitCode.OK)
    assert letters() == (2, 2)


def test_a_view_that_a_release_has_not_answers_no_more_and_is_back_with_the_other_one(shops, pipelines):
    (acme,) = shops("acme")
    Workload(acme, seed=67).seed_rows().close()
    pipeline = pipelines({"acme": acme}, views={name: dict(view, history=True) for name, view in VIEWS.items()})
    pipeline.start_and_wait()
    pipeline.wait_queryable()
    people = pipeline.count("acme", "people")
    assert people and pipeline.count("acme", "people_history") >= people
    taken = pipeline.content["views"].pop("people")
    pipeline.write()
    pipeline.command("replay").expect(ExitCode.OK)
    assert pipeline.count("acme", "people") == people
    pipeline.command("release", "switch").expect(ExitCode.OK)

    def answers(view):
        return pipeline.command("query", "--client", "acme", f"SELECT count() FROM {view}").exit_code == ExitCode.OK

    wait_for(lambda: not answers("people") and not answers("people_history"), 30, "both to answer no more")
    assert answers("statuses") and answers("statuses_history")
    acme.execute("INSERT INTO users (id, email) VALUES (777001, 'late@example')")
    pipeline.wait_queryable()
    pipeline.command("release", "rollback").expect(ExitCode.OK)
    wait_for(lambda: answers("people") and answers("people_history"), 30, "both to answer again")
    assert pipeline.count("acme", "people") == people + 1, "it was kept computed"
    pipeline.content["views"]["people"] = taken
    pipeline.write()
    pipeline.verify_clean()
