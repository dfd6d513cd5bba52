"""A PostgreSQL server of our own: in a temporary folder, on a free loopback port, stopped by its own process id."""

import contextlib
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile

import psycopg2

from . import processes
from .waiting import wait_for

OWNER = "shop_owner"       # owns the clients' tables
READER = "tributary"       # whom the pipeline connects as
START_LIMIT = 60
STOP_LIMIT = 60

SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": 300,
    "max_wal_senders": 300,
    "max_connections": 900,
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "fsync": "off",               # a crash of the machine is not what we test here
    "full_page_writes": "off",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %u@%d %a ",
    "log_statement": "none",
    "log_checkpoints": "off",
    "timezone": "UTC",
}


def binaries():
    """The folder of initdb and its kin: Debian keeps them out of PATH."""
    if found := shutil.which("initdb"):
        return pathlib.Path(found).resolve().parent
    candidates = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    ordered = sorted(candidates, key=lambda path: float(path.parts[-3]))
    if not ordered:
        raise RuntimeError("PostgreSQL's server is not installed; run ./dev setup")
    return ordered[-1].parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """One server. Local connections and the superuser are trusted, others come by password over TCP.

    As root it runs as user postgres, since PostgreSQL refuses root; else as who we are. Not thread-safe.
    """

    def __init__(self, settings=None, hba=None):
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tributary-postgres-"))
        self.data = self.folder / "data"
        self.log_file = self.folder / "server.log"
        self.port = free_port()
        self.password = "canary-" + secrets.token_hex(12)  # of READER; never to be seen in any output
        self.settings = {**SETTINGS, **(settings or {})}
        self.hba = hba or ["local all all trust", "local replication all trust", f"host all {self.user} 127.0.0.1/32 trust",
                           "host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256"]
        self.process = None
        self._databases = {}
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._initialize()

    @property
    def _run_as(self):
        return "postgres" if os.getuid() == 0 else None

    def _initialize(self):
        command = [str(binaries() / "initdb"), "-D", str(self.data), "-U", self.user, "-A", "trust", "-E", "UTF8",
                   "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        done = subprocess.run(processes.guarded(command, user=self._run_as), capture_output=True, text=True,
                              check=False, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed with {done.returncode}: {done.stderr}")
        (self.data / "pg_hba.conf").write_text("\n".join(self.hba) + "\n")

    def start(self):
        """Starts the server and returns when it takes connections."""
        lines = [f"{name} = '{value}'" for name, value in self.settings.items()]
        lines += [f"port = {self.port}", "listen_addresses = '127.0.0.1'", f"unix_socket_directories = '{self.folder}'"]
        (self.data / "tributary.conf").write_text("\n".join(lines) + "\n")
        main = self.data / "postgresql.conf"
        if "tributary.conf" not in main.read_text():
            with main.open("a") as file:
                file.write("include 'tributary.conf'\n")
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                processes.guarded([str(binaries() / "postgres"), "-D", str(self.data)], "INT", self._run_as),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
        wait_for(self._answers, START_LIMIT, "PostgreSQL to take connections", seen=self.log_tail)
        self._create_roles()
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with {self.process.returncode}: {self.log_tail()}")
        try:
            psycopg2.connect(self.dsn("postgres"), connect_timeout=5).close()
            return True
        except psycopg2.OperationalError:
            return False

    def _create_roles(self):
        admin = self.database("postgres")
        if admin.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", (READER,)):
            return
        admin.execute(f"CREATE ROLE {OWNER}")
        admin.execute(f"CREATE ROLE {READER} LOGIN REPLICATION PASSWORD %s IN ROLE {OWNER}", (self.password,))

    def stop(self, sig=signal.SIGINT):
        """Ends the server: SIGINT politely, SIGQUIT as a crash."""
        for database in self._databases.values():
            database.close()
        if self.process:
            processes.stop(self.process, sig, STOP_LIMIT)
            self.process = None

    def restart(self, settings=None):
        self.stop()
        self.settings.update(settings or {})
        return self.start()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database):
        return f"host={self.folder} port={self.port} user={self.user} dbname={database}"

    def log_tail(self, lines=20):
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def database(self, name):
        if name not in self._databases:
            self._databases[name] = Database(self, name)
        return self._databases[name]

    def create_database(self, name, template=None):
        """A fresh database, owned by OWNER. A template must be without connections."""
        clause = f" TEMPLATE {template}" if template else ""
        self.database("postgres").execute(f"CREATE DATABASE {name} OWNER {OWNER}{clause}")
        return self.database(name)

    def drop_database(self, name):
        """Removes a database with its slots, whoever is connected."""
        admin = self.database("postgres")
        self._databases.pop(name, Database(self, name)).close()
        admin.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                      "WHERE database = %s AND active", (name,))
        wait_for(lambda: not admin.value("SELECT count(*) FROM pg_replication_slots WHERE database = %s AND active",
                                         (name,)), 20, f"the slots of {name} to be free")
        admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s",
                      (name,))
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def cpu_seconds(self):
        """Of the postmaster, its children, and those of them that have ended."""
        pid = self.process.pid
        return processes.cpu_seconds(pid) + sum(processes.cpu_seconds(child) for child in processes.children(pid))


class Database:
    """One database of a server, seen by its administrator. Statements commit one by one. Not thread-safe."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self._connection = None

    def connect(self, autocommit=True, application="test"):
        """A connection of its own; the caller closes it."""
        connection = psycopg2.connect(self.server.dsn(self.name), application_name=application)
        connection.autocommit = autocommit
        return connection

    def _cursor(self):
        if self._connection is None or self._connection.closed:
            self._connection = self.connect()
        return self._connection.cursor()

    def execute(self, sql, parameters=None):
        with self._cursor() as cursor:
            cursor.execute(sql, parameters)

    def rows(self, sql, parameters=None):
        with self._cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

    def value(self, sql, parameters=None):
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    @contextlib.contextmanager
    def transaction(self):
        """A cursor in a transaction on a connection of its own: committed at the end, rolled back on an error."""
        connection = self.connect(autocommit=False)
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def url(self, user=READER, port=None, parameters=""):
        return f"postgresql://{user}@127.0.0.1:{port or self.server.port}/{self.name}{parameters}"

    def head(self):
        """Where the server's log ends now, as a number."""
        return lsn_number(self.value("SELECT pg_current_wal_insert_lsn()"))

    def slots(self):
        """slot name → (active pid, confirmed position as a number, wal_status)."""
        rows = self.rows("SELECT slot_name, active_pid, confirmed_flush_lsn, wal_status FROM pg_replication_slots "
                         "WHERE database = %s", (self.name,))
        return {name: (pid, lsn_number(lsn), status) for name, pid, lsn, status in rows}

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def lsn_number(text):
    """'1A/2B3C' as a number; 0 for none."""
    if not text:
        return 0
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)
