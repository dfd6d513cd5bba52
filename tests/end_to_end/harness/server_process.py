"""A server that a test starts as a child process, in a temporary folder, stopped by its own process id."""

import pathlib
import shutil
import signal
import subprocess
import tempfile

from . import processes
from .waiting import wait_for

STOP_LIMIT = 30


class ServerProcess:
    """What all of them share. A class sets `title`, and says how it is started and when it answers.

    Its folder holds data, settings and log until remove(). start() after stop() or kill() is a restart on the same ports
    and data. Not thread-safe.
    """

    title = "a server"
    start_limit = 90

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"tributary-{name}-"))
        self.log_file = self.folder / "server.log"
        self.process = None

    def process_command(self):
        raise NotImplementedError

    def answers(self):
        """Whether the server does its work, asked by its own protocol."""
        raise NotImplementedError

    def start(self):
        """Returns when the server answers."""
        self.launch()
        wait_for(self._answers, self.start_limit, f"{self.title} to answer", seen=self.log_tail)
        return self

    def launch(self):
        """Starts the process and returns at once."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(processes.guarded(self.process_command()), cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.title} ended with {self.process.returncode}: {self.log_tail()}")
        return self.answers()

    def stop(self):
        """Politely, by SIGTERM; its data stays."""
        if self.process:
            processes.stop(self.process, signal.SIGTERM, STOP_LIMIT)
            self.process = None

    def kill(self):
        """As a crash, by SIGKILL; its data stays as it was."""
        if self.process:
            processes.stop(self.process, signal.SIGKILL, STOP_LIMIT)
            self.process = None

    def pause(self):
        """Stops it in the middle of whatever it does, until resume(): connections stay, nothing answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines=20):
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def cpu_seconds(self):
        return processes.cpu_seconds(self.process.pid)

    def resident_bytes(self):
        return processes.resident_bytes(self.process.pid)
