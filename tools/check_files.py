#!/usr/bin/env python3
"""What no file of the project may contain: paths of one person's machine, secrets, registry addresses in lock files,
text that is not UTF-8, Python that does not compile.

    tools/check_files.py [FILE…]

Without names it reads every file that git tracks or would track. Prints `file:line: what` and exits 1 on any finding.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

MACHINE_PATH = re.compile(r"(?<![\w.~$})-])/(?:root|work|home/\w+|Users/\w+)/")
SECRETS = [
    (re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an AWS access key"),
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40,})"), "a GitHub token"),
    (re.compile(r"\b(?:glpat-[\w-]{20}|npm_[A-Za-z0-9]{36}|xox[abprs]-[\w-]{10,})"), "an access token"),
    (re.compile(r"\bAIza[\w-]{35}\b|\bya29\.[\w-]{20,}"), "a Google key"),
]
# scheme://user:password@host, except where the host is this machine or reserved for examples.
URL_PASSWORD = re.compile(r"\b[a-z][a-z0-9+]*://[^\s/:@\"'<>{}$]+:([^\s/@\"'<>{}$]+)@([\w.-]+|\[[^\]]*\])")
HARMLESS_HOST = re.compile(r"localhost|127\.\S*|\[::1\]|host|db|(?:.*\.)?(?:example|test|invalid|example\.\w+)")
LOCK_FILES = {"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"}


def files_of_project():
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return [pathlib.Path(name) for name in names if name and (ROOT / name).is_file()]


def findings_of_line(line, is_lock_file):
    if found := MACHINE_PATH.search(line):
        yield f"a path of one machine ({found.group(0)}…)"
    for pattern, what in SECRETS:
        if pattern.search(line):
            yield f"{what}; revoke it, it is in the history too if it was committed"
    for found in URL_PASSWORD.finditer(line):
        if not HARMLESS_HOST.fullmatch(found.group(2)):
            yield "a password in a URL"
    if is_lock_file and re.search(r'"?resolved"?:?\s+"?https?:', line):
        yield "a registry's address in a lock file; npm: omit-lockfile-registry-resolved=true"


def findings_of_file(name):
    data = (ROOT / name).read_bytes()
    if b"\0" in data:
        return  # not text
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        yield 1, f"neither UTF-8 nor binary: {error}"
        return
    is_lock_file = name.name in LOCK_FILES
    for number, line in enumerate(text.splitlines(), 1):
        for what in findings_of_line(line, is_lock_file):
            yield number, what
    if name.suffix == ".py":
        try:
            compile(text, str(name), "exec", dont_inherit=True)
        except SyntaxError as error:
            yield error.lineno or 1, f"not Python: {error.msg}"


def main():
    names = [pathlib.Path(name) for name in sys.argv[1:]] or files_of_project()
    count = 0
    for name in names:
        for number, what in findings_of_file(name):
            print(f"{name}:{number}: {what}", file=sys.stderr)
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
