"""The raw store on MongoDB: on two servers that speak its protocol, and on a real one whose URI is in TRIBUTARY_TEST_MONGODB."""

import os
import pathlib
import subprocess

import pytest

from harness import MongoServer
from harness.mongo import KINDS
from harness.pipeline import program

# The second server takes 400 rows a second.
CONTRACT = {
    "h2": "*RawContract*mongodb:MongoRawTest.*",
    "nx": "*RawContract.EventsComeBackExactly/mongodb:*RawContract.VisitStops*/mongodb:*RawContract.AnEventOfAnySize*/mongodb:"
          "MongoRawTest.*",
}


def run_contract(uri, tests):
    """Of the unit tests, those of every raw store, on the server."""
    binary = pathlib.Path(program()).resolve().parent / "store_test"
    done = subprocess.run([str(binary), f"--gtest_filter={tests}"], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "TRIBUTARY_TEST_MONGODB": uri}, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "SKIPPED" not in done.stdout, done.stdout[-2000:]


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_raw_store_promises(kind):
    server = MongoServer(kind)
    try:
        server.start()
        run_contract(server.uri, CONTRACT[kind])
    finally:
        server.remove()


@pytest.mark.skipif("TRIBUTARY_TEST_MONGODB" not in os.environ, reason="TRIBUTARY_TEST_MONGODB names no server")
def test_what_every_raw_store_promises_on_a_real_server():
    run_contract(os.environ["TRIBUTARY_TEST_MONGODB"], CONTRACT["h2"])
