#!/usr/bin/env python3
"""Fetches the jars of the servers that tests and demos run, and prints their class paths, one a line.

    tools/jars.py kafka connect             fetches what is missing into build/jars
    tools/jars.py --missing kafka connect   fetches nothing; prints what is missing

A list deps/maven/NAME.sha256 names every jar and its sha256; nothing else is ever taken. Maven fetches them, from
where the machine's own configuration says. Every jar is hashed at every call: a damaged one is fetched again.
"""

import argparse
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LISTS = ROOT / "deps" / "maven"
JARS = ROOT / "build" / "jars"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
ATTEMPTS = 3


class Jar:
    """One line of a list: group:artifact:version[:classifier] sha256."""

    def __init__(self, coordinate, sha256):
        self.coordinate = coordinate
        self.sha256 = sha256
        self.group, self.artifact, self.version, *rest = coordinate.split(":")
        self.classifier = rest[0] if rest else ""
        self.file = "-".join([self.artifact, self.version, *rest]) + ".jar"
        self.path = JARS / self.file

    def is_right(self, path=None):
        path = path or self.path
        return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256

    def dependency(self):
        """The jar alone, for a pom.xml: what it depends on is in our list too."""
        classifier = f"<classifier>{self.classifier}</classifier>" if self.classifier else ""
        return (f"<dependency><groupId>{self.group}</groupId><artifactId>{self.artifact}</artifactId>"
                f"<version>{self.version}</version>{classifier}<exclusions><exclusion><groupId>*</groupId>"
                "<artifactId>*</artifactId></exclusion></exclusions></dependency>")


def jars_of(name):
    path = LISTS / f"{name}.sha256"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in LISTS.glob("*.sha256")))
        sys.exit(f"jars: there is no list '{name}'; there are {known}")
    lines = (line.split("#")[0].split() for line in path.read_text().splitlines())
    return [Jar(*words) for words in lines if words]


def copy_with_maven(jars, folder):
    """One call for a whole list: Maven downloads several at a time. Returns its output where it failed."""
    pom = folder / "pom.xml"
    pom.write_text('<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
                   "<groupId>tributary</groupId><artifactId>jars</artifactId><version>1</version>"
                   "<packaging>pom</packaging><dependencies>" + "".join(jar.dependency() for jar in jars) +
                   "</dependencies></project>")
    done = subprocess.run(["mvn", "-q", "-B", "-f", pom, f"{PLUGIN}:copy-dependencies", f"-DoutputDirectory={folder}"],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def fetch(jars):
    """Says what is wrong, or returns None when all are in place."""
    with tempfile.TemporaryDirectory(dir=JARS, prefix=".fetch-") as name:
        folder = pathlib.Path(name)
        if failure := copy_with_maven(jars, folder):
            return "Maven could not fetch the jars: " + "\n".join(failure.splitlines()[:5])
        for jar in jars:
            got = folder / jar.file
            if not got.exists():
                return f"Maven did not bring {jar.coordinate}"
            if not jar.is_right(got):
                return (f"{jar.coordinate} is not what deps/maven says: its sha256 is "
                        f"{hashlib.sha256(got.read_bytes()).hexdigest()}")
            os.replace(got, jar.path)
    return None


def install(name, missing):
    """Fetches a list's missing jars, or ends the program saying why not."""
    if not shutil.which("mvn"):
        sys.exit(f"jars: {len(missing)} jars of {name} are missing and Maven is not installed; run ./dev setup")
    print(f"dev: fetching {len(missing)} jars of {name}", file=sys.stderr)
    for attempt in range(1, ATTEMPTS + 1):
        problem = fetch([jar for jar in missing if not jar.is_right()])
        if not problem:
            return
        print(f"jars: attempt {attempt} of {ATTEMPTS}: {problem}", file=sys.stderr)
    sys.exit(f"jars: {name} could not be installed; is the Maven repository in reach? then run ./dev setup again")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lists", nargs="+", metavar="LIST")
    parser.add_argument("--missing", action="store_true")
    arguments = parser.parse_args()

    JARS.mkdir(parents=True, exist_ok=True)
    lists = {name: jars_of(name) for name in arguments.lists}
    with (JARS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, jars in lists.items():
            missing = [jar for jar in jars if not jar.is_right()]
            if arguments.missing:
                print("".join(f"{jar.coordinate}\n" for jar in missing), end="")
            elif missing:
                install(name, missing)
    if not arguments.missing:
        for jars in lists.values():
            print(":".join(str(jar.path) for jar in jars))


if __name__ == "__main__":
    main()
