"""Two servers that speak the wire protocol of MongoDB, since the real one is in none of the package registries.

    server = MongoServer("h2").start()                     # or "nx"
    Pipeline(…, raw=f"{server.uri}/raw")
    server.client()["raw"]["orders"].count_documents({})
    server.kill(); server.start()                          # a crash and a restart on the same data and port
"""

import functools
import pathlib
import subprocess
import sys

from . import java
from .java import JavaServer
from .postgres import free_port

KINDS = ("h2", "nx")


@functools.lru_cache(maxsize=None)
def _packages(name):
    """The folder of what deps/pip/NAME.txt lists, installed where it is missing."""
    done = subprocess.run([sys.executable, java.ROOT / "tools" / "wheels.py", name], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} is not to be had: {done.stderr}")
    return done.stdout.strip()


def pymongo():
    """The client library; not among the imports since its folder is installed when it is first wanted."""
    folder = _packages("pymongo")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import pymongo as module  # pylint: disable=import-outside-toplevel
    return module


class MongoServer(JavaServer):
    """One server on a free loopback port, without TLS and without passwords.

    kind    "h2": mongo-java-server on an H2 file; starts in 2 s, 110 MB, 4,500 rows/s in batches. "nx": nx-27017 on
            SQLite; 0.6 s, 30 MB, 400 rows/s.

    Both: insertMany, replace, update and delete in bulk, ordered or not; $setOnInsert, $min, $max; unique, sparse and
    TTL indexes; duplicate keys are code 11000 with their index in the batch; w:majority with j is taken; retryable
    writes are taken; acknowledged writes outlive kill(). What they get wrong, seen on both but where it says so:

    - no passwords, TLS, replica set, step-down; no updates by a pipeline; w:2 closes the connection or garbles the
      answer
    - errors have no keyPattern and keyValue; nx's text names a UNIQUE constraint: only the code is alike
    - h2: says it is 5.0 on wire version 8; has neither `hello` nor `explain`; no sessions, transactions, change
      streams; $merge gives nothing back; TTL is never enforced; a document over 16 MB closes the connection without
      an error; the counts of an insert that failed (nInserted) are of the whole batch
    - nx: says it is 7.0 on wire versions 17 to 25; no Decimal128 (code 8, "not JSON serializable"); no query by an
      `_id` that is a document; binary `_id`s do not sort by their bytes; a transaction's writes are seen outside
      before its commit; a document over 16 MB is taken; index names are its own; expired documents vanish when read
    """

    title = "the MongoDB-wire server"
    jars = "mongo"
    heap = "256m"
    start_limit = 60

    def __init__(self, kind="h2", options=None):
        super().__init__(options)
        self.kind = kind
        self.port = free_port()
        self.data = self.folder / "data"
        self.data.mkdir()
        self._client = None

    @property
    def uri(self):
        return f"mongodb://127.0.0.1:{self.port}"

    def command(self):
        source = pathlib.Path(__file__).parent / "java" / "MongoMain.java"
        return [str(source), str(self.data / "data.h2"), str(self.port)]

    def process_command(self):
        if self.kind == "h2":
            return self.java_command(*self.command())
        return ["/usr/bin/env", f"PYTHONPATH={_packages('nx-27017')}", sys.executable, "-m", "nx_27017.nx_27017",
                "--data-dir", str(self.data), "--port", str(self.port), "--log-file", str(self.folder / "nx.log"),
                "--pid-file", str(self.folder / "nx.pid")]

    def answers(self):
        try:
            return self.client().admin.command("ping")
        except pymongo().errors.PyMongoError:
            return False

    def client(self, **options):
        """A client of PyMongo. Without options it is one and the same."""
        settings = {"serverSelectionTimeoutMS": 2000, "directConnection": True, "retryWrites": False, **options}
        if options:
            return pymongo().MongoClient(self.uri, **settings)
        if self._client is None:
            self._client = pymongo().MongoClient(self.uri, **settings)
        return self._client

    def remove(self):
        if self._client is not None:
            self._client.close()
        super().remove()
