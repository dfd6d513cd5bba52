"""./dev demo and ./dev bench, as a person starts them; short."""

import json
import signal
import subprocess
import sys

import pytest

from harness import wait_for
from harness.pipeline import ROOT


def start(script, *arguments):
    return subprocess.Popen([sys.executable, str(ROOT / "tools" / script), *arguments], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


@pytest.mark.parametrize("options", [[], ["--analytics", "clickhouse", "--raw", "mongodb"]])
def test_the_demo_ends_by_itself_with_the_validators_result(built_program, options):
    assert built_program
    run = start("demo.py", "--seconds", "5", *options)
    output, _ = run.communicate(timeout=150)
    assert run.returncode == 0, output
    assert "source and analytics agree" in output
    for client in ("acme", "globex", "initech"):
        assert client in output


def test_the_demo_cleans_up_after_ctrl_c(built_program):
    assert built_program
    run = start("demo.py")
    lines = []
    wait_for(lambda: lines.append(run.stdout.readline()) or "tributary demo" in lines[-1], 60, "the demo's first line")
    (folder,) = [line.split(": ")[-1].strip().rsplit("/", 1)[0] for line in lines if "the pipeline file" in line]
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    left = subprocess.run(["find", folder], capture_output=True, text=True, check=False).stdout
    assert left == ""


@pytest.mark.parametrize("stage", ["--process=flink"])
def test_the_demo_refuses_what_is_not_built_yet(built_program, stage):
    assert built_program
    run = start("demo.py", stage)
    output, _ = run.communicate(timeout=20)
    assert run.returncode == 69 and stage.split("=")[1] in output


@pytest.mark.long
@pytest.mark.parametrize("name", ["capture", "load", "pipeline", "latency", "memory"])
def test_each_benchmark_runs(built_program, tmp_path, name):
    assert built_program
    run = start("bench.py", name, "--rows", "20000", "--updates", "2000", "--runs", "1", "--seconds", "5", "--rate", "1000",
                "--json", str(tmp_path / "result.json"))
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output
    result = json.loads((tmp_path / "result.json").read_text())[name]
    assert result["machine"]["cores"] > 0
    for contestant in ("tributary", "pg_recvlogical tcp", "copy text"):
        assert result.get("runs", {}).get(contestant, [1]), contestant
