"""A Java program as a child process: class path from pinned jars, little memory, a quick start, a log that is kept."""

import functools
import pathlib
import shutil
import subprocess
import sys

from .server_process import ServerProcess

ROOT = pathlib.Path(__file__).resolve().parents[3]

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


class JavaServer(ServerProcess):
    """What all servers on Java share. A class sets `title`, `jars` and `heap`, and says when it answers.

    options: flags of the virtual machine in place of QUICK_START, for a benchmark: ("-Xms512m", "-Xmx1g").
    """

    title = "a Java server"
    jars = ""
    heap = "512m"

    def __init__(self, options=None):
        super().__init__(self.jars)
        self.options = list(options) if options is not None else [*QUICK_START, f"-Xmx{self.heap}"]
        (self.folder / "log4j2.properties").write_text(LOGGING)

    def command(self):
        """The main class and its arguments."""
        raise NotImplementedError

    def process_command(self):
        return self.java_command(*self.command())

    def java_command(self, *main, options=None):
        return [java(), *(options or self.options), f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties",
                "-cp", class_path(self.jars), *main]
