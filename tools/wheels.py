#!/usr/bin/env python3
"""Installs the Python packages of deps/pip/NAME.txt into build/python/NAME, and prints those folders, one a line.

    tools/wheels.py pymongo             installs what is missing or of another version
    tools/wheels.py --missing pymongo   installs nothing; prints the names of what is missing

pip takes nothing but what the list names, with its sha256, from where the machine's own configuration says.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ROOT / "build" / "python"


def wanted(name):
    """What the marker of a finished installation holds."""
    return hashlib.sha256((ROOT / "deps" / "pip" / f"{name}.txt").read_bytes()).hexdigest()


def is_installed(name):
    marker = FOLDERS / name / ".installed"
    return marker.exists() and marker.read_text() == wanted(name)


def install(name):
    if importlib.util.find_spec("pip") is None:
        sys.exit(f"wheels: {name} is not installed and neither is pip; run ./dev setup")
    print(f"dev: fetching the Python packages of {name}", file=sys.stderr)
    target = FOLDERS / name
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
               "--no-deps", "--only-binary", ":all:", "--root-user-action=ignore", "--target", target,
               "-r", ROOT / "deps" / "pip" / f"{name}.txt"]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode != 0:
        sys.exit(f"wheels: {name} could not be installed, see above; is the Python package index in reach?")
    (target / ".installed").write_text(wanted(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lists", nargs="+", metavar="LIST")
    parser.add_argument("--missing", action="store_true")
    arguments = parser.parse_args()

    FOLDERS.mkdir(parents=True, exist_ok=True)
    with (FOLDERS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in arguments.lists if not is_installed(name)]
        if arguments.missing:
            print("".join(f"{name}\n" for name in missing), end="")
            return
        for name in missing:
            install(name)
    for name in arguments.lists:
        print(FOLDERS / name)


if __name__ == "__main__":
    main()
