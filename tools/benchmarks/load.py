"""load: the snapshot of a table into the log, against COPY … TO of the same table into nothing."""

import shutil

from harness.pipeline import program

from . import measuring
from .backlog import Backlog
from .capture import STAGES, paired


def run(_, options, folder):
    backlog = Backlog(folder, options.rows, 0)
    try:
        options.say(f"filling a table of {backlog.inserts:,} rows …")
        backlog.database.execute("DROP TABLE accounts")
        backlog.database.execute("CALL generate(1, %s)", (options.rows // 1000,))
        backlog.database.execute("VACUUM ANALYZE bench_rows")
        del backlog.pipeline.content["domains"]["accounts"]
        backlog.pipeline.write()
        contestants = {"tributary": lambda: snapshot(backlog), "copy text": lambda: copy(backlog, "text"),
                       "copy binary": lambda: copy(backlog, "binary")}
        return {"machine": measuring.machine(backlog.server), "rows": options.rows,
                "runs": paired(contestants, options, options.rows)}
    finally:
        backlog.close()


def snapshot(backlog):
    shutil.rmtree(backlog.pipeline.data, ignore_errors=True)
    for slot in backlog.database.slots():
        backlog.drop_slot(slot)
    command = [program(), "run", str(backlog.pipeline.file), "--until-caught-up", *STAGES["capture"]]
    return measuring.measure(command, backlog.server, backlog.database, backlog.pipeline.environment)


def copy(backlog, kind):
    command = ["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(backlog.server.port), "-U", "tributary", "-d", "bench",
               "-c", f"COPY bench_rows TO STDOUT (FORMAT {kind})"]
    return measuring.measure(command, backlog.server, backlog.database, backlog.reader_environment())
