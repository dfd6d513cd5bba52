#!/usr/bin/env python3
"""./dev sim --planted: plants every bug of simulation/planted/bugs.toml and sees the simulation find it.

A copy of the tree in build/planted gets all of them at once, each behind a switch; it is built once, and the simulation runs
with one after the other switched on. It must fail with each, and must not fail with none.

    ./dev sim --planted                       all of them; exit code 1 where one was not found
    ./dev sim --planted join                  those whose name has it
    ./dev sim --planted --write               … and writes the list into docs/planted-bugs.md
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from arguments import Arguments  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUGS = ROOT / "simulation" / "planted" / "bugs.toml"
LIST = ROOT / "docs" / "planted-bugs.md"
COPY = ROOT / "build" / "planted"
CASES = {"views": 3000, "pipeline": 400}  # of each simulation, at most
FIRST_SEED = 1
SWITCH = '''#pragma once
#include <cstdlib>
#include <cstring>
// Whether this bug is planted: TRIBUTARY_PLANTED names it.
inline bool planted(const char* name) {
  const char* chosen = std::getenv("TRIBUTARY_PLANTED");
  return chosen != nullptr && std::strcmp(chosen, name) == 0;
}
#define PLANTED_BUG(name) ([] { static const bool on = planted(name); return on; }())
'''


def bugs():
    with open(BUGS, "rb") as file:
        return tomllib.load(file)["bug"]


def plant(texts, bug):
    """Changes the text of the bug's file in `texts`."""
    text = texts.setdefault(bug["file"], (ROOT / bug["file"]).read_text())
    found = text.count(bug["old"])
    if found != 1:
        raise ValueError(f"{bug['name']}: what it changes stands {found} times in {bug['file']}; "
                         f"bring {BUGS.relative_to(ROOT)} in line with the source")
    if "PLANTED" not in bug["new"]:
        raise ValueError(f"{bug['name']}: 'new' has no PLANTED")
    texts[bug["file"]] = text.replace(bug["old"], bug["new"].replace("PLANTED", f'PLANTED_BUG("{bug["name"]}")'))


def with_switch(text):
    include = '#include "base/planted.h"\n'
    return text.replace("#pragma once\n", "#pragma once\n" + include, 1) if "#pragma once\n" in text else include + text


def write_where_it_differs(path, content):
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def make_copy(all_bugs):
    """The tree with everything planted. Files that did not change stay as they are, so that little is compiled again."""
    texts = {}
    for bug in all_bugs:
        plant(texts, bug)
    wanted = {"src/base/planted.h": SWITCH.encode()}
    for name in ["CMakeLists.txt", "CMakePresets.json"]:
        wanted[name] = (ROOT / name).read_bytes()
    for folder in ["src", "simulation"]:
        for path in (ROOT / folder).rglob("*"):
            name = str(path.relative_to(ROOT))
            if path.is_file():
                wanted[name] = with_switch(texts[name]).encode() if name in texts else path.read_bytes()
    for name, content in wanted.items():
        write_where_it_differs(COPY / name, content)
    for folder in ["src", "simulation"]:
        for path in (COPY / folder).rglob("*"):
            if path.is_file() and str(path.relative_to(COPY)) not in wanted:
                path.unlink()


def build():
    environment = dict(os.environ, CCACHE_BASEDIR=str(COPY), CCACHE_NOHASHDIR="1")
    folder = COPY / "build" / "release"
    if not (folder / "build.ninja").exists():
        launcher = [] if shutil.which("ccache") else ["-DCMAKE_CXX_COMPILER_LAUNCHER="]
        subprocess.run(["cmake", "--preset", "release", f"-DTRIBUTARY_LIBRARY_DIR={ROOT}/build/lib", *launcher], cwd=COPY,
                       env=environment, check=True, stdout=subprocess.DEVNULL)
    tests = sorted({bug["test"].split(":")[0] for bug in bugs() if "test" in bug})
    subprocess.run(["ninja", "-C", str(folder), "--quiet", "simulation", *tests], env=environment, check=True)
    return folder / "simulation"


def run(program, which, bug, cases):
    """None: not found. Else (the number of cases it took, the invariant that did not hold)."""
    environment = dict(os.environ, TRIBUTARY_PLANTED=bug)
    arguments = [str(program), "--from-seed", str(FIRST_SEED), "--cases", str(cases), "--seconds", "900", "--as-it-is"]
    if which == "pipeline":
        arguments.append("--pipeline")
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return None
    failed = re.search(r"FAILED seed=(\d+) (\w+)", done.stdout + done.stderr)
    if failed is None:
        return 0, "the program ended: " + (done.stderr.strip().splitlines() or [str(done.returncode)])[-1][:80]
    return int(failed.group(1)) - FIRST_SEED + 1, failed.group(2)


def hunt(program, bug):
    if "test" in bug:  # too rare for the simulation
        binary, tests = bug["test"].split(":")
        done = subprocess.run([str(program.parent / binary), f"--gtest_filter={tests}"], capture_output=True,
                              env=dict(os.environ, TRIBUTARY_PLANTED=bug["name"]))
        return ("unit test", "", tests) if done.returncode else None
    for which, cases in CASES.items():
        if bug.get("only", which) == which and (found := run(program, which, bug["name"], cases)):
            return which, *found
    return None


def write_list(results):
    lines = ["# Planted bugs", "",
             "Mistakes that somebody could make in what computes the views, each planted on purpose and found by the simulation:",
             "`views` runs random views over random changes through the graph of operators, `pipeline` through log, raw store,",
             "rounds, checkpoints, outbox and a changing pipeline file. The judge is the same SQL run in batch, and of dead letters also the",
             "same views begun with the tables as they are. How many cases it took",
             f"is counted from seed {FIRST_SEED}; what is too rare for it has a unit test. `./dev sim --planted` plants them again and sees each found; they are kept in",
             "`simulation/planted/bugs.toml`, each as a change of one place of the source.", "",
             "| mistake | where | found by | after cases | what did not hold |", "|---|---|---|---|---|"]
    for bug, found in results:
        which, cases, invariant = found or ("not found", "", "")
        lines.append(f"| {bug['mistake']} | `{bug['file'].removeprefix('src/')}` | {which} | {cases} | {invariant} |")
    LIST.write_text("\n".join(lines) + "\n")


def main():
    parser = Arguments(prog="./dev sim --planted", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("filter", nargs="?", default="", help="only bugs whose name has this")
    parser.add_argument("--write", action="store_true", help=f"write {LIST.relative_to(ROOT)}")
    options = parser.parse_args()
    everything = bugs()
    make_copy(everything)
    program = build()
    for which in CASES:
        if found := run(program, which, "none", 50):
            print(f"without any bug the simulation ({which}) fails: {found}")
            return 1
    chosen = [bug for bug in everything if options.filter in bug["name"]]
    results = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 2) // 2)) as pool:
        for bug, found in zip(chosen, pool.map(lambda bug: hunt(program, bug), chosen)):
            results.append((bug, found))
            print(f"{bug['name']:<40} " + ("NOT FOUND" if found is None else f"{found[0]}, case {found[1]}: {found[2]}"),
                  flush=True)
    if options.write:
        write_list(results)
    missed = [bug["name"] for bug, found in results if found is None]
    print(f"{len(results)} planted, {len(results) - len(missed)} found" + (": not " + ", ".join(missed) if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
