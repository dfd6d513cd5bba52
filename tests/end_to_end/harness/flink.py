"""Flink SQL of our own, in one process with the Kafka connector: who reads our topics as people do.

    flink = FlinkSql()
    rows = flink.select(flink.debezium_table("orders", broker, "shop.orders", "id BIGINT, total DECIMAL(12,2)"),
                        "SELECT id, total FROM orders")    # as they are when all that is in the topic has been read
    flink.run("CREATE …; INSERT …;")                       # to its end
    flink.start("CREATE …; INSERT …;"); flink.kill()       # a job without an end
"""

import collections
import pathlib
import subprocess
import sys

from . import java
from .java import JavaServer
from .waiting import wait_for

RUN_LIMIT = 120

# What bin/config.sh of the distribution opens to Flink on Java 17, as far as SQL wants it.
OPEN = [f"--add-opens=java.base/{name}=ALL-UNNAMED"
        for name in ("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text",
                     "java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic",
                     "java.util.concurrent.locks")]


def distribution():
    """FLINK_HOME of what deps/pip/flink.txt lists: 340 MB, fetched when a test first wants it."""
    done = subprocess.run([sys.executable, java.ROOT / "tools" / "wheels.py", "flink"], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"Flink is not to be had: {done.stderr}")
    return pathlib.Path(done.stdout.strip()) / "pyflink"


class FlinkSql(JavaServer):
    """Runs SQL scripts, each in a process and a mini cluster of its own: 5 s to start, 450 MB.

    Statements end with a semicolon at a line's end. All INSERTs of a script are one job.
    """

    title = "Flink"
    jars = "flink-kafka"
    heap = "768m"

    def __init__(self, options=None):
        super().__init__(options)
        self._number = 0
        self._script = None

    def command(self):
        return [str(pathlib.Path(__file__).parent / "java" / "FlinkSqlMain.java"), str(self._script)]

    def process_command(self):
        home = distribution()
        jars = sorted(str(path) for path in (home / "lib").glob("*.jar"))
        return [java.java(), *self.options, *OPEN, f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties",
                "-cp", ":".join([*jars, java.class_path(self.jars)]), *self.command()]

    def _write(self, sql):
        self._number += 1
        self._script = self.folder / f"script-{self._number}.sql"
        self._script.write_text(sql)
        self.log_file = self.folder / f"script-{self._number}.log"

    def run(self, sql):
        """Runs a script to its end and returns what it printed; raises with the log's end when it failed."""
        self._write(sql)
        self.launch()
        try:
            code = self.process.wait(RUN_LIMIT)
        finally:
            self.kill()
        if code != 0:
            raise RuntimeError(f"Flink's script ended with {code}: {self.log_tail(60)}")
        return self.log_file.read_text()

    def start(self, sql=None):  # pylint: disable=arguments-differ
        """Starts a script that does not end, or the last one again, and returns when its job runs."""
        if sql is not None:
            self._write(sql)
        else:
            self.log_file.unlink(missing_ok=True)
        self.launch()
        wait_for(self._answers, self.start_limit, "Flink's job to run", seen=self.log_tail)
        return self

    def answers(self):
        return "\nSTARTED\n" in "\n" + self.log_file.read_text()

    def select(self, definitions, query):
        """The rows that `query` has in the end, as sorted tuples of texts (NULL for null). Its tables are bounded."""
        rows = collections.Counter()
        for line in self.run(f"{definitions}\n{query};\n").splitlines():
            if line.startswith("ROW\t"):
                _, kind, *fields = line.split("\t")
                rows[tuple(fields)] += 1 if kind in ("+I", "+U") else -1
        wrong = [row for row, count in rows.items() if count < 0]
        if wrong:
            raise AssertionError(f"Flink took back rows that it never gave: {wrong[:3]}")
        return sorted(rows.elements())

    @staticmethod
    def debezium_table(name, broker, topic, columns, bounded=True, schemas=False):  # pylint: disable=too-many-arguments
        """CREATE TABLE of a topic in format debezium-json, read from its beginning to what is its end now.

        Its update and delete records must carry `before`: REPLICA IDENTITY FULL. A bad record fails the job.
        """
        end = "'scan.bounded.mode' = 'latest-offset', " if bounded else ""
        return (f"CREATE TABLE {name} ({columns}) WITH ('connector' = 'kafka', 'topic' = '{topic}', "
                f"'properties.bootstrap.servers' = '{broker.address}', 'scan.startup.mode' = 'earliest-offset', {end}"
                f"'format' = 'debezium-json', 'debezium-json.schema-include' = '{str(schemas).lower()}');\n")
