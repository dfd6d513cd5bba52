"""The planted bugs are in line with the source; and, where there is time, each of them is found."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

specification = importlib.util.spec_from_file_location("planted", ROOT / "tools" / "planted.py")
planted = importlib.util.module_from_spec(specification)
specification.loader.exec_module(planted)


def test_each_can_be_planted_and_is_listed():
    texts, names = {}, set()
    listed = (ROOT / "docs" / "planted-bugs.md").read_text()
    for bug in planted.bugs():
        planted.plant(texts, bug)  # raises where the source is another one
        assert bug["name"] not in names
        names.add(bug["name"])
        assert f"| {bug['mistake']} |" in listed, "./dev sim --planted --write"
    assert len(names) >= 20


@pytest.mark.long
def test_each_is_found():
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "planted.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
