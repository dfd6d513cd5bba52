"""Child processes that never outlive the test run, and what /proc says of them."""

import os
import pathlib
import shutil
import signal
import subprocess

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def guarded(command, death_signal="KILL", user=None):
    """`command`, made to receive `death_signal` when the thread that starts it dies, and run as `user` where given.

    setpriv replaces itself, so the child's id is that of the program. Where it is missing the command stays as it is.
    """
    setpriv = shutil.which("setpriv")
    if not setpriv:
        if user:
            raise RuntimeError("setpriv (Debian: util-linux) is not there; it is needed to start PostgreSQL as root")
        return list(command)
    identity = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    return [setpriv, *identity, "--pdeathsig", death_signal, "--", *command]


def stop(process, first_signal, limit):
    """Sends `first_signal`, waits, and kills what is still there after `limit` seconds. Returns the exit code."""
    if process.poll() is None:
        process.send_signal(first_signal)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def exists(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def _stat(pid):
    """The fields of /proc/PID/stat from the third on, or None: the second may hold spaces and parentheses."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2:].split()


def children(pid):
    """Direct children's ids."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(entry)) and int(fields[1]) == pid:
            found.append(int(entry))
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def cpu_seconds(pid, with_dead_children=True):
    """User and system time; with that of children it has waited for. 0 for a process that is gone."""
    fields = _stat(pid)
    if not fields:
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15 if with_dead_children else 13]) / CLOCK_TICKS


def resident_bytes(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def proportional_bytes(pid):
    """Memory that is the process's own, shared pages divided among those who share them."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def maps_library(pid, name):
    """Whether the process has loaded a shared library whose file name holds `name`."""
    try:
        return name in pathlib.Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kill_hard(pid):
    os.kill(pid, signal.SIGKILL)
