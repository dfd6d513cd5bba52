"""The last line of ./dev test: a failure that is not counted would be the worst bug a test runner can have."""

import pathlib
import subprocess
import sys

import pytest

SUMMARY = pathlib.Path(__file__).resolve().parents[2] / "tools" / "test_summary.py"

CTEST_PASS = '<testcase name="model" classname="model" status="run"/>'
CTEST_FAIL = '<testcase name="model" classname="model" status="fail"><failure message=""/></testcase>'
CTEST_SKIP = '<testcase name="model" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>'
CTEST_ABSENT = '<testcase name="model" status="notrun"><skipped message="Unable to find executable"/></testcase>'
PASS = '<testcase name="a" classname="Merge" status="run" result="completed"/>'
FAIL = '<testcase name="b" classname="Merge" status="run" result="completed"><failure message="x"/></testcase>'
SKIP = '<testcase name="c" classname="Merge" status="run" result="skipped"><skipped message="x"/></testcase>'
LEFT_OUT = '<testcase name="d" classname="Merge" status="notrun" result="suppressed"/>'
ERROR = '<testcase name="e" classname="test_e"><error message="x"/></testcase>'


def summary(folder, ctest="", gtest=None, pytest_cases="", ctest_status=0, pytest_status=0):
    """Exit code and last line for these <testcase> elements; gtest=None is a program that wrote no report."""
    (folder / "gtest").mkdir()
    (folder / "ctest.xml").write_text(f"<testsuite>{ctest}</testsuite>")
    if gtest is not None:
        (folder / "gtest/model_test.xml").write_text(f"<testsuites><testsuite>{gtest}</testsuite></testsuites>")
    (folder / "pytest.xml").write_text(f"<testsuites><testsuite>{pytest_cases}</testsuite></testsuites>")
    command = [sys.executable, str(SUMMARY), "--results", str(folder),
               "--ctest-status", str(ctest_status), "--pytest-status", str(pytest_status)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.splitlines()[-1]


CASES = [
    (dict(ctest=CTEST_PASS, gtest=PASS + SKIP + LEFT_OUT, pytest_cases=PASS), 0, "2 passed, 0 failed, 1 skipped"),
    (dict(ctest=CTEST_FAIL, gtest=PASS + FAIL, ctest_status=8), 1, "1 passed, 1 failed, 0 skipped"),
    (dict(ctest=CTEST_PASS), 0, "1 passed, 0 failed, 0 skipped"),
    (dict(ctest=CTEST_SKIP, pytest_cases=PASS), 0, "1 passed, 0 failed, 1 skipped"),
    (dict(pytest_cases=PASS + ERROR, pytest_status=1), 1, "1 passed, 1 failed, 0 skipped"),
    # Crashed before it could report, and crashed after its cases had passed.
    (dict(ctest=CTEST_FAIL, ctest_status=8), 1, "0 passed, 1 failed, 0 skipped"),
    (dict(ctest=CTEST_FAIL, gtest=PASS, ctest_status=8), 1, "1 passed, 1 failed, 0 skipped"),
    (dict(ctest=CTEST_FAIL, gtest="<cut", ctest_status=8), 1, "0 passed, 1 failed, 0 skipped"),
    # Not built.
    (dict(ctest=CTEST_ABSENT, pytest_cases=PASS, ctest_status=8), 1, "1 passed, 1 failed, 0 skipped"),
    # The runner itself.
    (dict(ctest=CTEST_PASS, gtest=PASS, ctest_status=1), 1, "1 passed, 1 failed, 0 skipped"),
    (dict(pytest_cases=PASS, pytest_status=3), 1, "1 passed, 1 failed, 0 skipped"),
    # Nothing ran.
    (dict(), 1, "0 passed, 0 failed, 0 skipped"),
    (dict(pytest_status=5), 1, "0 passed, 0 failed, 0 skipped"),
    (dict(pytest_cases=SKIP), 1, "0 passed, 0 failed, 1 skipped"),
]


@pytest.mark.parametrize("reports, exit_code, line", CASES)
def test_the_summary(tmp_path, reports, exit_code, line):
    assert summary(tmp_path, **reports) == (exit_code, line)
