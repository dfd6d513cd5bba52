"""Running a command and measuring it: wall time, CPU by thread, memory, and what the server paid for it meanwhile."""

import dataclasses
import os
import pathlib
import platform
import statistics
import subprocess
import time

from harness import processes, wait_for
from harness.postgres import READER

SAMPLE_INTERVAL = 0.05


@dataclasses.dataclass
class Measured:
    """One command from start to end. CPU in seconds, memory in bytes."""
    seconds: float
    cpu_seconds: float                 # the process's own and its children's
    resident_bytes_max: int            # of the process itself
    cpu_by_thread: dict                # thread's name → seconds; children as "child NAME"
    server_cpu_seconds: float = 0.0
    server_temporary_bytes: int = 0    # files of sorting and materializing, by pg_stat_database
    server_spilled_bytes: int = 0      # decoding's, by pg_stat_replication_slots

    def as_data(self, rows=None):
        data = dataclasses.asdict(self)
        if rows:
            data["rows"] = rows
            data["rows_per_second"] = rows / self.seconds
            data["rows_per_cpu_second"] = rows / max(self.cpu_seconds, 0.01)
        return data


class CommandFailed(RuntimeError):
    pass


def measure(command, server=None, database=None, environment=None, limit=1800):
    """Runs `command` to its end and measures it; CommandFailed when it does not end with 0."""
    before = server_figures(server, database)
    begin = time.monotonic()
    output = pathlib.Path(os.devnull).open("wb")  # pylint: disable=consider-using-with
    with output, subprocess.Popen(processes.guarded(command), stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}) as run:
        os.set_blocking(run.stderr.fileno(), False)
        threads, resident, errors = {}, 0, b""
        while True:
            pid, state, usage = os.wait4(run.pid, os.WNOHANG)
            errors = (errors + (run.stderr.read() or b""))[-8192:]
            if pid:
                break
            if time.monotonic() - begin > limit:
                run.kill()
            sample_threads(run.pid, threads)
            resident = max(resident, processes.resident_bytes(run.pid))
            time.sleep(SAMPLE_INTERVAL)
        seconds = time.monotonic() - begin
        run.returncode = os.waitstatus_to_exitcode(state)
    if run.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: exit code {run.returncode} after {seconds:.1f} s: "
                            f"{errors.decode(errors='replace')}")
    if server:
        wait_for(lambda: backends_are_gone(server), 20, "the server's processes for this run to end")
    after = server_figures(server, database)
    return Measured(seconds, usage.ru_utime + usage.ru_stime, resident, named(threads),
                    *[now - then for now, then in zip(after, before, strict=True)])


def sample_threads(pid, threads):
    """Notes the CPU seconds of every thread of the process and of its children; what has ended keeps its last figure."""
    for process in [pid, *processes.descendants(pid)]:
        try:
            tasks = os.listdir(f"/proc/{process}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                text = pathlib.Path(f"/proc/{process}/task/{task}/stat").read_text()
            except OSError:
                continue
            name = text[text.index("(") + 1:text.rindex(")")]
            fields = text[text.rindex(")") + 2:].split()
            label = name if process == pid else "child"
            threads[process, task] = (label, (int(fields[11]) + int(fields[12])) / processes.CLOCK_TICKS)


def named(threads):
    """Thread samples added up by name."""
    total = {}
    for name, seconds in threads.values():
        total[name] = total.get(name, 0.0) + seconds
    return {name: round(seconds, 2) for name, seconds in sorted(total.items(), key=lambda item: -item[1]) if seconds}


def backends_are_gone(server):
    """Whether every process of the server is one it still lists: only what has ended is in its totals."""
    listed = {pid for (pid,) in server.database("postgres").rows("SELECT pid FROM pg_stat_activity")}
    ours = server.database("postgres").value("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (READER,))
    return ours == 0 and set(processes.children(server.process.pid)) <= listed


def server_figures(server, database):
    """CPU seconds, temporary bytes and spilled bytes so far; a statistic arrives when its backend has ended."""
    if server is None:
        return 0.0, 0, 0
    temporary = spilled = 0
    if database is not None:
        database.execute("SELECT pg_stat_clear_snapshot()")
        temporary = int(database.value("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()"))
        spilled = int(database.value("SELECT coalesce(sum(spill_bytes), 0) FROM pg_stat_replication_slots"))
    return server.cpu_seconds(), temporary, spilled


def median_of(runs, key):
    return statistics.median(run[key] for run in runs)


def percentile(sorted_values, fraction):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * fraction))]


def machine(server):
    """What the figures were measured on."""
    cpu = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) * 1024
    root = pathlib.Path(__file__).resolve().parents[2]
    commit = subprocess.run(["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False).stdout.strip()
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_bytes": memory, "kernel": platform.release(),
            "load_before": os.getloadavg()[0], "commit": commit,
            "postgresql": server.database("postgres").value("SHOW server_version") if server else "not used"}
