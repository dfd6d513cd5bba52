"""docs/edge-cases.md and docs/faults.md name the tests that hold what they say: each line names one, and each of them exists."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ["edge-cases.md", "faults.md"]
GOOGLETEST = re.compile(r"^(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\((\w+),\s*(\w+)", re.MULTILINE)


def existing_tests():
    """All names, as the two runners write them."""
    names = set()
    for path in ROOT.glob("tests/end_to_end/test_*.py"):
        names |= {f"{path.name}::{name}" for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    for folder in ("src", "simulation"):
        for path in (ROOT / folder).rglob("*_test.cpp"):
            names |= {f"{suite}.{name}" for suite, name in GOOGLETEST.findall(path.read_text())}
    return names


def type_columns():
    """The columns of the tables with all types: keys of dictionaries of (type, values)."""
    return {name for file in ("test_types.py", "test_types_of_ones_own.py")
            for name in re.findall(r'^    "(\w+)": \(', (ROOT / "tests/end_to_end" / file).read_text(), re.MULTILINE)}


def lines(page):
    """(heading of the last column, cells) of every line of every table."""
    heading, last = None, ""
    for text in (ROOT / "docs" / page).read_text().splitlines():
        cells = [cell.strip() for cell in text.strip("|").split("|")] if text.startswith("|") else None
        if cells and not last.startswith("|"):
            heading = cells[-1]
        elif cells and not set(text) <= set("|-") and not cells[0].startswith("**"):
            yield heading, cells
        last = text


@pytest.mark.parametrize("page", PAGES)
def test_each_line_names_a_test_and_each_named_test_exists(page):
    known = {"tests": existing_tests(), "column": type_columns()}
    found = list(lines(page))
    assert len(found) > 20
    for heading, cells in found:
        named = re.findall(r"`([^`]+)`", cells[-1])
        assert named, f"{cells[0]}: no test is named"
        missing = [name for name in named if name not in known[heading]]
        assert not missing, f"{cells[0]}: {missing}"


@pytest.mark.parametrize("page", PAGES)
def test_what_the_text_names_exists_too(page):
    named = re.findall(r"`(test_\w+\.py::\w+)`", (ROOT / "docs" / page).read_text())
    assert not set(named) - existing_tests()


def test_each_column_of_the_tables_of_types_has_a_line():
    named = {name for heading, cells in lines("edge-cases.md") if heading == "column" for name in re.findall(r"`(\w+)`", cells[-1])}
    assert named == type_columns()
