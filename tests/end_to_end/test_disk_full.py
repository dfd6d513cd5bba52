"""The disk of the data directory is full: back-pressure, nothing acknowledged, and on it goes when there is room."""

import os
import subprocess

import pytest

from harness import ExitCode, wait_for

DISK_BYTES = 700 << 20
LEFT_BYTES = 6 << 20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)],
                             capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(folder):
    """Leaves LEFT_BYTES of room."""
    room = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - LEFT_BYTES
    ballast = folder / "ballast"
    with ballast.open("ab") as file:
        os.posix_fallocate(file.fileno(), file.tell(), max(room, 1))
    return ballast


def test_a_start_on_a_full_disk_says_so_and_loses_nothing(shops, small_disk, pipelines):
    """What was in memory is in the log on disk only, and opening writes it out."""
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, settings={"data": str(small_disk / "data")}).start_and_wait()
    acme.execute("INSERT INTO users (id, email, biography) SELECT g, 'u' || g, md5(g::text) || md5((g + 1)::text) "
                 "FROM generate_series(1, 20000) g")
    pipeline.wait_queryable()
    pipeline.kill()
    ballast = small_disk / "ballast"
    room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room)
    for command in (["run"], ["tap", "*", "--from", "start", "--until-caught-up"]):
        done = pipeline.command(*command)
        assert done.exit_code == ExitCode.TEMPORARY, done
        assert "make room and start again" in done.errors and "Assertion" not in done.errors
    ballast.unlink()
    acme.execute("INSERT INTO users (id, email) VALUES (0, 'after')")
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    assert pipeline.count("acme", "users") == 20001
    pipeline.verify_clean()


def test_a_full_disk_stops_reading_and_room_lets_it_go_on(shops, small_disk, pipelines):
    (acme,) = shops("acme")
    pipeline = pipelines({"acme": acme}, settings={"data": str(small_disk / "data")}).start_and_wait()
    acme.execute("INSERT INTO users (id, email) VALUES (0, 'before')")
    pipeline.wait_queryable()
    ballast = fill(small_disk)
    for first in range(0, 100000, 10000):
        acme.execute("INSERT INTO users (id, email, biography) SELECT g, 'u' || g, md5(g::text) || md5((g + 1)::text) "
                     "|| md5((g + 2)::text) FROM generate_series(%s, %s) g", (first + 1, first + 10000))
    head = acme.head()
    entry = pipeline.wait_status(lambda s: "full" in str(s).lower() and s["clients"][0], 60, "the full disk to be told")
    assert entry["state"] != "stopped"
    assert all(confirmed < head for _, confirmed, _ in acme.slots().values()), "what is not durable was acknowledged"
    assert pipeline.running()
    ballast.unlink()
    wait_for(lambda: pipeline.count("acme", "users") == 100001, 90, "all rows after there was room again")
    pipeline.verify_clean()
    pipeline.terminate()
