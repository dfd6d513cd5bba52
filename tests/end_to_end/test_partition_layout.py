"""Another number of partitions in the pipeline file: events that were written before stay where they are, those that come go
by the new one, and whatever is read first, nothing is lost, double or older than it should be (docs/decisions/0054).
"""

import collections

import pytest

from harness import ExitCode, Workload
from test_kafka_log import event_topics, raw_is_a_set

BEFORE = {"partitions": 6, "partitions_per_client": 2}
AFTER = {"partitions": 8, "partitions_per_client": 3}
FEWER = {"partitions": 2, "partitions_per_client": 1}


def use_layout(pipeline, layout):
    pipeline.content["log"].update(layout)
    pipeline.write()


def partitions_of_keys(pipeline):
    """key of an order → partitions in which the log has events of it."""
    found = collections.defaultdict(set)
    for event in pipeline.events("order.*", client="acme"):
        if event["key"]:
            found[str(event["key"])].add(event["partition"])
    return found


@pytest.mark.parametrize("log", ["embedded", "kafka"])
def test_partitions_are_changed_before_the_old_ones_are_read_and_a_kill_lands_between(log, request, shops, pipelines):
    (acme,) = shops("acme")
    broker = request.getfixturevalue("kafka") if log == "kafka" else None
    at = f"kafka://{broker.address}" if broker else "embedded"
    writer = Workload(acme, seed=81).seed_rows()
    pipeline = pipelines({"acme": acme}, settings={"log": {"at": at, **BEFORE}})
    if broker:
        pipeline.content["data"] = "./capture"  # of a node that captures alone
        pipeline.write()
    pipeline.run_until_caught_up("--stages", "capture").expect(ExitCode.OK)  # the snapshot, which nobody processes
    writer.run(steps=150)
    pipeline.run_until_caught_up("--stages", "capture").expect(ExitCode.OK)
    if broker:
        for topic in event_topics(broker, pipeline):
            broker.add_partitions(topic, AFTER["partitions"])
        pipeline.content["data"] = "./data"
    use_layout(pipeline, AFTER)
    writer.start(rate=200)
    try:
        pipeline.start()
        pipeline.wait_status(lambda status: status["clients"][0]["captured_events"] > 100, 120, "events by the new layout")
        pipeline.kill()
        pipeline.start_and_wait()
        pipeline.wait_status(lambda status: status["clients"][0]["captured_events"] > 100, 120, "events after the kill")
    finally:
        writer.close()
    pipeline.wait_queryable()
    pipeline.verify_clean()
    raw_is_a_set(pipeline, "acme")
    assert any(len(partitions) > 1 for partitions in partitions_of_keys(pipeline).values()), "no key changed its partition"
    pipeline.terminate()
    if broker:
        return
    use_layout(pipeline, FEWER)
    acme.execute("UPDATE orders SET note = 'by the third layout'")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    raw_is_a_set(pipeline, "acme")
