"""A streaming replica of a test's server: a base backup that follows its primary.

    standby = Standby(primary).start()
    standby.wait_for(primary.database("shop").head())
    standby.promote()
"""

import subprocess

from . import processes
from .postgres import Postgres, binaries, lsn_number
from .waiting import wait_for


class Standby(Postgres):
    """Takes its base backup when it is made, from a primary that runs. Databases are read through database(), as of any server."""

    def __init__(self, primary, settings=None):
        self.primary = primary
        super().__init__({**primary.settings, "hot_standby": "on", "hot_standby_feedback": "on", **(settings or {})})
        self.password = primary.password

    def _initialize(self):
        command = [str(binaries() / "pg_basebackup"), "-D", str(self.data), "-h", str(self.primary.folder),
                   "-p", str(self.primary.port), "-U", self.primary.user, "--checkpoint=fast", "--write-recovery-conf",
                   "--no-sync"]
        done = subprocess.run(processes.guarded(command, user=self._run_as), capture_output=True, text=True, check=False,
                              cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"pg_basebackup failed with {done.returncode}: {done.stderr}")

    def replayed(self):
        """Up to where the standby has followed, as a number."""
        return lsn_number(self.database("postgres").value("SELECT pg_last_wal_replay_lsn()"))

    def wait_for(self, position, limit=30):
        """Returns once what was committed before `position` is visible here."""
        wait_for(lambda: self.replayed() >= position, limit, "the standby to follow", seen=self.log_tail)
        return self

    def promote(self):
        """Makes it a primary, on a timeline of its own."""
        admin = self.database("postgres")
        admin.execute("SELECT pg_promote()")
        wait_for(lambda: not admin.value("SELECT pg_is_in_recovery()"), 30, "the standby to be promoted")
        return self

    def pause(self):
        """It does not follow any more, until resume(); it still answers."""
        self.database("postgres").execute("SELECT pg_wal_replay_pause()")

    def resume(self):
        self.database("postgres").execute("SELECT pg_wal_replay_resume()")
