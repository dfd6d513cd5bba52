"""What no file may contain, planted. The plants are put together here, so that this file does not contain them."""

import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

specification = importlib.util.spec_from_file_location("check_files", ROOT / "tools" / "check_files.py")
check_files = importlib.util.module_from_spec(specification)
specification.loader.exec_module(check_files)


@pytest.mark.parametrize("line", [
    "see " + "/work" + "/main/x",
    'path = "/' + 'root/.cache"',
    "/ho" + "me/ada/x",
    "-----BEGIN RSA PRIVATE " + "KEY-----",
    "ghp_" + "a1" * 18,
    "postgresql://u:se" + "cret@db.internal/x",
])
def test_found(line):
    assert list(check_files.findings_of_line(line, False))


@pytest.mark.parametrize("line", [
    "frame/work/item",
    "${ROOT}/work/item",
    "postgresql://tributary@db.acme.example/shop",
    "postgresql://u:p@127.0.0.1:5432/x",
    "postgresql://u:p@db.acme.example/x",
    "postgresql://u:${env:PASSWORD}@db.internal/x",
])
def test_not_found(line):
    assert not list(check_files.findings_of_line(line, False))


def test_a_lock_file_names_no_registry():
    line = '"resolved": "https' + '://registry.example/x.tgz",'
    assert list(check_files.findings_of_line(line, True))
    assert not list(check_files.findings_of_line(line, False))
