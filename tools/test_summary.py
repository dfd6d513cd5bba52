#!/usr/bin/env python3
"""Adds up what ctest, googletest and pytest reported, and says it in one line.

    tools/test_summary.py --results DIR --ctest-status N --pytest-status N

reads DIR/ctest.xml, DIR/gtest/*.xml and DIR/pytest.xml (each where there), prints the names of what failed, then

    12 passed, 0 failed, 1 skipped

as its last line. Exit code 1 when anything failed, or when no test ran at all.

A ctest test that is a googletest program is counted by the cases inside it. A program that reported no case (it
crashed before the end) or that ended badly although its cases passed counts as one failure, under its ctest name. A
runner that ended badly without a failure to show for it counts as one failure as well.
"""

import argparse
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

PYTEST_NO_TESTS = 5


class Counts:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def cases_of(path):
    """The <testcase> elements of a JUnit file; none where the file is absent or cut off."""
    try:
        return list(ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []


def count_cases(cases, prefix):
    counts = Counts()
    for case in cases:
        if case.get("status") == "notrun" and case.get("result") == "suppressed":
            continue  # googletest lists what its filter left out
        name = "::".join(part for part in (prefix, case.get("classname"), case.get("name")) if part)
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failed.append(name)
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            counts.skipped.append(name)
        else:
            counts.passed += 1
    return counts


def count_ctest(results):
    counts = Counts()
    for case in cases_of(results / "ctest.xml"):
        name = case.get("name")
        failed = case.get("status") == "fail" or case.find("failure") is not None
        skip = case.find("skipped")
        if skip is not None and not (skip.get("message") or "").startswith("SKIP_"):
            failed = True  # "Not Run": the program is not there, or a fixture failed
        inside = Counts()
        for report in (results / "gtest").glob(f"{name}*.xml"):
            if report.stem in (name, f"{name}_test"):
                inside = count_cases(cases_of(report), name)
        if failed and not inside.failed:
            inside.failed.append(f"{name} (the program itself)")
        elif not failed and skip is not None:
            inside.skipped.append(name)
        elif not failed and not (results / "gtest" / f"{name}_test.xml").exists() \
                and not (results / "gtest" / f"{name}.xml").exists():
            inside.passed += 1
        counts.add(inside)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--ctest-status", type=int, required=True)
    parser.add_argument("--pytest-status", type=int, required=True)
    options = parser.parse_args()

    ctest = count_ctest(options.results)
    if options.ctest_status != 0 and not ctest.failed:
        ctest.failed.append(f"ctest itself, exit code {options.ctest_status}")
    pytest = count_cases(cases_of(options.results / "pytest.xml"), "")
    if options.pytest_status not in (0, PYTEST_NO_TESTS) and not pytest.failed:
        pytest.failed.append(f"pytest itself, exit code {options.pytest_status}")

    total = Counts()
    total.add(ctest)
    total.add(pytest)
    for name in total.skipped:
        print(f"skipped: {name}")
    for name in total.failed:
        print(f"FAILED: {name}")
    none_ran = total.passed + len(total.failed) == 0
    if none_ran:
        print("no test ran, which counts as a failure")
    print(f"{total.passed} passed, {len(total.failed)} failed, {len(total.skipped)} skipped")
    return 1 if total.failed or none_ran else 0


if __name__ == "__main__":
    sys.exit(main())
