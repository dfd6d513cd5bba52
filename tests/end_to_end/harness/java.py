"""A Java program as a child process: class path from pinned jars, little memory, a quick start, a log that is kept."""

import functools
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from . import processes
from .waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[3]
STOP_LIMIT = 30

# A test's server lives for seconds: the second compiler and a heap made large at once would cost more than they give.
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData")

LOGGING = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n%ex
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
"""


@functools.lru_cache(maxsize=None)
def class_path(name):
    """The jars of deps/maven/NAME.sha256, fetched where they are missing and verified."""
    done = subprocess.run([sys.executable, ROOT / "tools" / "jars.py", name], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the jars of {name} are not to be had: {done.stderr}")
    return done.stdout.strip()


def java():
    if found := shutil.which("java"):
        return found
    raise RuntimeError("Java is not installed; run ./dev setup")


class JavaServer:
    """What all servers on Java share. A class sets `title`, `jars` and `heap`, and says when it answers.

    Its folder is temporary and holds data, settings and log until remove(). start() after stop() or kill() is a restart
    on the same ports and data. Not thread-safe.

    options: flags of the virtual machine in place of QUICK_START, for a benchmark: ("-Xms512m", "-Xmx1g").
    """

    title = "a Java server"
    jars = ""
    heap = "512m"
    start_limit = 90

    def __init__(self, options=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"tributary-{self.jars}-"))
        self.log_file = self.folder / "server.log"
        self.options = list(options) if options is not None else [*QUICK_START, f"-Xmx{self.heap}"]
        self.process = None
        (self.folder / "log4j2.properties").write_text(LOGGING)

    def command(self):
        """The main class and its arguments."""
        raise NotImplementedError

    def process_command(self):
        return self.java_command(*self.command())

    def answers(self):
        """Whether the server does its work, asked by its own protocol."""
        raise NotImplementedError

    def java_command(self, *main, options=None):
        return [java(), *(options or self.options), f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties",
                "-cp", class_path(self.jars), *main]

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
