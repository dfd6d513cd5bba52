"""capture: a backlog into the log. pipeline: the same until queryable. Both beside pg_recvlogical in the same run."""

from harness.pipeline import program

from . import capture_kafka, measuring
from .backlog import Backlog

STAGES = {"capture": ["--stages", "capture"], "pipeline": []}


def run(name, options, folder):
    if name == "capture" and options.log == "kafka":
        return capture_kafka.run(options, folder)
    backlog = Backlog(folder, options.rows, options.updates)
    try:
        say = options.say
        say(f"writing a backlog of {backlog.inserts:,} inserts and {backlog.updates:,} one-row transactions …")
        backlog.make()
        contestants = {"tributary": lambda: drain(backlog, STAGES[name])}
        if name == "capture":
            contestants["tributary streaming"] = lambda: drain(backlog, [*STAGES[name], "--read", "streaming"])
        contestants["pg_recvlogical tcp"] = lambda: receive(backlog, "127.0.0.1")
        contestants["pg_recvlogical socket"] = lambda: receive(backlog, str(backlog.server.folder))
        if name == "capture":
            contestants["peek"] = lambda: peek(backlog)
        runs = paired(contestants, options, backlog.rows)
        result = {"machine": measuring.machine(backlog.server), "rows": backlog.rows, "inserts": backlog.inserts,
                  "updates": backlog.updates, "runs": runs}
        result["start_to_one_event_seconds"] = one_event(backlog)
        return result
    finally:
        backlog.close()


def paired(contestants, options, rows):
    """Every contestant once a round, in an order that turns; a contestant that fails is left out, with its reason."""
    runs = {contestant: [] for contestant in contestants}
    names = list(contestants)
    for number in range(options.runs):
        for contestant in names[number % len(names):] + names[:number % len(names)]:
            try:
                measured = contestants[contestant]()
            except measuring.CommandFailed as error:
                options.say(f"{contestant}: left out: {error}")
                continue
            runs[contestant].append(measured.as_data(rows))
            options.say(f"round {number + 1}: {contestant}: {measured.seconds:.2f} s, {rows / measured.seconds:,.0f} rows/s, "
                        f"own CPU {measured.cpu_seconds:.2f} s, server's {measured.server_cpu_seconds:.2f} s")
    return runs


def drain(backlog, arguments):
    backlog.rewind()
    command = [program(), "run", str(backlog.pipeline.file), "--until-caught-up", *arguments]
    return measuring.measure(command, backlog.server, backlog.database, backlog.pipeline.environment)


def receive(backlog, host):
    command = backlog.receive_command("bench_reference", host)
    return measuring.measure(command, backlog.server, backlog.database, backlog.reader_environment())


def peek(backlog):
    """The server's own decoding without a protocol around it: what a bulk reader can reach at most."""
    sql = (f"COPY (SELECT lsn, data FROM pg_logical_slot_peek_binary_changes('bench_saved', '{backlog.end}', NULL, "
           f"'proto_version', '1', 'publication_names', '{backlog.publication}')) TO STDOUT (FORMAT binary)")
    command = ["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(backlog.server.port), "-U", "tributary", "-d", "bench",
               "-c", sql]
    return measuring.measure(command, backlog.server, backlog.database, backlog.reader_environment())


def one_event(backlog):
    """Whole life of the program with one event waiting: an upper bound of start to first event."""
    drain(backlog, STAGES["capture"])
    seconds = []
    for number in range(3):
        backlog.database.execute("INSERT INTO accounts VALUES (%s, 0, 0, '')", (1_000_000 + number,))
        command = [program(), "run", str(backlog.pipeline.file), "--until-caught-up", *STAGES["capture"]]
        seconds.append(measuring.measure(command, environment=backlog.pipeline.environment).seconds)
    return sorted(seconds)[1]
