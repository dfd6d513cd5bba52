"""Each behaviour of views as a text: tests/scenarios/*.yaml are pipeline files with tests of their own, which `check` runs."""

import pathlib
import re
import shutil

import pytest

from harness import ExitCode, Pipeline

SCENARIOS = pathlib.Path(__file__).resolve().parents[1] / "scenarios"


@pytest.mark.parametrize("scenario", sorted(path.stem for path in SCENARIOS.glob("*.yaml")))
def test_scenario(scenario, built_program, tmp_path):  # pylint: disable=unused-argument
    pipeline = Pipeline(tmp_path, "shop", {})
    shutil.copy(SCENARIOS / f"{scenario}.yaml", pipeline.file)
    shutil.copy(SCENARIOS / "shop.lock", tmp_path / "shop.lock")
    done = pipeline.command("check").expect(ExitCode.OK)
    assert (counted := re.search(r"tests: (\d+) passed, 0 failed$", done.output, re.MULTILINE)), done.output
    assert int(counted.group(1)) == pipeline.file.read_text().count("- name: ")
