"""What `./dev` says of itself, and of what it does not know."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ["setup", "build", "test", "check", "fuzz"]
PYTHON = ["bench", "demo", "planted"]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_of_a_command(name):
    done = run("./dev", name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"  {name} " in done.stdout and f"./dev {name}" in done.stdout
    assert not any(f"  {other} " in done.stdout for other in SCRIPTS if other != name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_unknown_option_of_a_command(name):
    done = run("./dev", name, "--bogus")
    assert done.returncode == 64
    said = [line for line in done.stderr.splitlines() if "waiting for another ./dev" not in line]
    assert len(said) == 1 and "unknown option --bogus" in said[0], done.stderr


@pytest.mark.parametrize("name", PYTHON)
def test_tools_in_python(name):
    script = f"tools/{name}.py"
    assert run(sys.executable, script, "--help").returncode == 0
    done = run(sys.executable, script, "--bogus")
    assert done.returncode == 64 and "see ./dev" in done.stderr
