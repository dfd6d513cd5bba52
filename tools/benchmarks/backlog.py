"""A backlog that can be drained again and again: rows inserted in bulk, then one-row transactions, behind two slots.

The pipeline is run once on the empty tables. Its data folder and its slot at that moment are kept, and put back before
each run, so that every run drains the same log.
"""

import os
import shutil
import subprocess

from harness import ExitCode, Pipeline, Postgres
from harness.postgres import READER, binaries
from harness.shop import own

ACCOUNTS = 100_000
INSERTS_PER_TRANSACTION = 1000
SERVER_SETTINGS = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "1GB", "max_wal_size": "16GB",
                   "autovacuum": "off", "checkpoint_timeout": "1h", "wal_compression": "off"}

SCHEMA = """
CREATE TABLE bench_rows (
  id bigint PRIMARY KEY, customer_id integer, sku varchar(16), name text, quantity smallint, price numeric(12,2),
  ratio double precision, flag boolean, created timestamptz, day date, payload jsonb);
CREATE TABLE accounts (id integer PRIMARY KEY, branch integer, balance integer, filler char(84));
"""

ROW = """g, (g::bigint * 7919) % 100000, 'SKU-' || lpad((g % 99999)::text, 8, '0'), md5(g::text), g % 1000,
 (g % 1000000) / 100.0, g / 3.0, g % 2 = 0, timestamptz '2026-01-01' + g * interval '1 second',
 date '2026-01-01' + (g % 365)::integer, jsonb_build_object('k', g % 100, 's', md5((g + 1)::text))"""

GENERATE = f"""
CREATE PROCEDURE generate(first integer, last integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR batch IN first..last LOOP
    INSERT INTO bench_rows SELECT {ROW}
      FROM generate_series((batch - 1) * {INSERTS_PER_TRANSACTION} + 1, batch * {INSERTS_PER_TRANSACTION}) g;
    COMMIT;
  END LOOP;
END $$
"""

UPDATE = f"""\\set id random(1, {ACCOUNTS})
\\set delta random(-5000, 5000)
UPDATE accounts SET balance = balance + :delta WHERE id = :id;
"""

DOMAINS = {"rows": {"table": "public.bench_rows", "event": "row"}, "accounts": {"table": "public.accounts", "event": "account"}}
SAVED_SLOT = "bench_saved"


def ours(name):
    """Of a slot or a publication: not a peer's."""
    return name.startswith("tributary_")


class Backlog:
    """One server with one client `bench`, whose log holds `inserts` rows and `updates` one-row transactions."""

    def __init__(self, folder, inserts, updates, name="bench", settings=None, prime=((),)):
        """`prime`: arguments of each run that makes what the pipeline remembers before the backlog."""
        self.inserts = inserts
        self.updates = updates
        self.prime = prime
        self.server = Postgres(SERVER_SETTINGS).start()
        self.database = self.server.create_database("bench")
        own(self.database, SCHEMA)
        self.database.execute(GENERATE)
        self.database.execute("INSERT INTO accounts SELECT g, g % 10, 0, '' FROM generate_series(1, %s) g".replace(
            "% 10", "%% 10"), (ACCOUNTS,))
        self.pipeline = Pipeline(folder / "pipeline", name, {"bench": self.database}, domains=DOMAINS,
                                 settings=settings)
        self._saved = folder / "saved"

    @property
    def rows(self):
        return self.inserts + self.updates

    def make(self):
        """Primes the pipeline, keeps that state, then writes the backlog."""
        for arguments in self.prime:
            self.pipeline.run_until_caught_up(*arguments, limit=600).expect(ExitCode.OK)
        (self.slot,) = filter(ours, self.database.slots())
        (self.publication,) = [name for (name,) in self.database.rows("SELECT pubname FROM pg_publication") if ours(name)]
        self.database.execute("SELECT pg_copy_logical_replication_slot(%s, %s)", (self.slot, SAVED_SLOT))
        shutil.copytree(self.pipeline.data, self._saved, symlinks=True)
        self.database.execute("SET synchronous_commit = off")
        self.database.execute("CALL generate(1, %s)", (self.inserts // INSERTS_PER_TRANSACTION,))
        self._update()
        self.database.execute("SET synchronous_commit = on")
        self.database.execute("CHECKPOINT")
        self.end = self.database.value("SELECT pg_current_wal_lsn()")
        return self

    def _update(self):
        if not self.updates:
            return
        script = self.pipeline.folder / "update.sql"
        script.write_text(UPDATE)
        subprocess.run([str(binaries() / "pgbench"), "-n", "-f", str(script), "-c", "4", "-j", "2", "-t",
                        str(self.updates // 4), "-M", "prepared", "-h", str(self.server.folder), "-p", str(self.server.port),
                        "-U", self.server.user, "bench"], check=True, capture_output=True,
                       env={**os.environ, "PGOPTIONS": "-c synchronous_commit=off"})

    def rewind(self):
        """The pipeline as it was before the backlog."""
        shutil.rmtree(self.pipeline.data)
        shutil.copytree(self._saved, self.pipeline.data, symlinks=True)
        self.drop_slot(self.slot)
        self.database.execute("SELECT pg_copy_logical_replication_slot(%s, %s)", (SAVED_SLOT, self.slot))

    def drop_slot(self, name):
        self.database.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                              "WHERE slot_name = %s", (name,))

    def receive_command(self, slot, host):
        """pg_recvlogical, draining the backlog raw into nothing."""
        self.drop_slot(slot)
        self.database.execute("SELECT pg_copy_logical_replication_slot(%s, %s)", (SAVED_SLOT, slot))
        return [str(binaries() / "pg_recvlogical"), "-h", host, "-p", str(self.server.port), "-U", READER, "-d", "bench",
                "--slot", slot, "--start", "-f", os.devnull, "--endpos", self.end, "--no-loop", "-o", "proto_version=1",
                "-o", f"publication_names={self.publication}"]

    def reader_environment(self):
        return {"PGPASSWORD": self.server.password}

    def close(self):
        self.pipeline.close()
        self.server.remove()
