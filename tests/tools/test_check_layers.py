"""The include checker: each rule of layers.toml, broken on purpose."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECKER = ROOT / "tools" / "check_layers.py"

specification = importlib.util.spec_from_file_location("check_layers", CHECKER)
check_layers = importlib.util.module_from_spec(specification)
specification.loader.exec_module(check_layers)


def violations(tmp_path, name, text):
    """What the checker says when src/`name` holds `text`, under the project's own layers.toml."""
    path = tmp_path / "src" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (tmp_path / "layers.toml").write_text((ROOT / "layers.toml").read_text())
    return check_layers.check_tree(tmp_path)


ALLOWED = [
    ("base/result.h", '#include "base/check.h"\n#include <variant>\n'),
    ("process/merge.cpp", '#include "process/merge.h"\n#include "model/position.h"\n#include <chrono>\n'),
    ("process/merge.cpp", '#include "merge.h"\n'),
    ("process/merge.cpp", '// steady_clock::now() is the caller\'s\nauto text = "system_clock::now()";\n'),
    ("process/merge.cpp", "size_t bytes = 1'000'000; // it's not a char\n"),
    ("process/merge_test.cpp", "#include <random>\n#include <gtest/gtest.h>\n"),
    ("log/embedded/segment.cpp", '#include "storage/database.h"\n#include "log/partition.h"\n#include <rocksdb/db.h>\n'),
    ("store/clickhouse/sink_test.cpp", '#include "engine/child.h"\n'),
    ("verify/compare.cpp", '#include "sql/duckdb_api.h"\n#include <libpq-fe.h>\n'),
    ("app/main.cpp", '#include "capture/postgres/reader.h"\n#include <CLI/CLI.hpp>\n'),
    ("capture/postgres/reader.cpp", '#include <sys/socket.h>\n#include "codec/pgoutput.h"\n'),
]


@pytest.mark.parametrize("name, text", ALLOWED)
def test_allowed(tmp_path, name, text):
    assert violations(tmp_path, name, text) == []


FORBIDDEN = [
    ("process/merge.cpp", '#include "codec/pgoutput.h"\n', "layer process may not include codec"),
    ("base/result.h", '#include "model/position.h"\n', "layer base may not include model"),
    ("capture/postgres/reader.cpp", '#include "log/embedded/segment.h"\n', "may not include log/embedded"),
    ("log/kafka/producer.cpp", '#include "storage/database.h"\n', "layer log/kafka may not include storage"),
    ("store/clickhouse/sink.cpp", '#include "engine/child.h"\n', "may not include engine"),
    ("store/clickhouse/sink.cpp", "#include <rocksdb/db.h>\n", "may not include <rocksdb/db.h>"),
    ("verify/compare.cpp", '#include "sql/engine.h"\n', "layer verify may not include sql"),
    ("verify/compare.cpp", '#include "model/position.h"\n', "layer verify may not include model"),
    ("config/load.cpp", '#include "sql/engine.h"\n', "layer config may not include sql"),
    ("serve/gateway.cpp", "#include <libpq-fe.h>\n", "allowed: capture, verify"),
    ("serve/gateway.cpp", "#include <yaml-cpp/yaml.h>\n", "allowed: config"),
    ("serve/gateway.cpp", "#include <gtest/gtest.h>\n", "allowed: tests"),
    ("serve/gateway.cpp", "#include <leveldb/db.h>\n", "in no [[headers]] entry"),
    ("serve/gateway.cpp", '#include "../model/position.h"\n', "in no layer"),
    ("codec/pgoutput.cpp", "#include <thread>\n", "pure and may not include <thread>"),
    ("codec/pgoutput.cpp", "#include <sys/socket.h>\n", "may not include <sys/socket.h>"),
    ("model/row.h", "#  include  <fstream>\n", "pure and may not include <fstream>"),
    ("process/merge.cpp", "auto t = std::chrono::steady_clock::now();\n", "may not use a clock"),
    ("process/merge.cpp", "int i = rand();\n", "may not use a random source"),
    ("process/merge.cpp", 'auto t = R"(")"; auto n = Clock::now();\n', "may not use a clock"),
    ("helpers/text.cpp", "", "folder helpers has no entry"),
]


@pytest.mark.parametrize("name, text, message", FORBIDDEN)
def test_forbidden(tmp_path, name, text, message):
    found = violations(tmp_path, name, text)
    assert len(found) == 1, found
    assert message in found[0]
    assert found[0].startswith(f"src/{name}:1: ")
    assert found[0].endswith("; see layers.toml")


def test_the_line_is_the_include_s(tmp_path):
    text = '#include "process/merge.h"\n\n#include "base/result.h"\n#include "serve/gateway.h"\n'
    assert violations(tmp_path, "process/merge.cpp", text) == [
        'src/process/merge.cpp:4: layer process may not include serve ("serve/gateway.h"); '
        "allowed: base, contracts, model; see layers.toml"
    ]


def test_layers_that_include_each_other_are_refused():
    layers = check_layers.Layers({"layers": {"a": {"may_include": ["b"]}, "b": {"may_include": ["a", "c"]}}})
    assert set(layers.problems()) == {
        "layers a and b include each other",
        "layers b and a include each other",
        "layer b names c, which is no layer",
    }


def test_every_folder_has_a_layer():
    with open(ROOT / "layers.toml", "rb") as file:
        layers = check_layers.Layers(check_layers.tomllib.load(file))
    folders = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
    assert folders <= set(layers.layers)
    assert list(layers.problems()) == []


def test_the_command_fails_on_a_violation_and_passes_without(tmp_path):
    violations(tmp_path, "process/merge.cpp", '#include "codec/pgoutput.h"\n')
    command = [sys.executable, str(CHECKER), "--root", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("src/process/merge.cpp:1: ")
    (tmp_path / "src/process/merge.cpp").write_text("")
    assert subprocess.run(command).returncode == 0


def test_two_types_of_one_name(tmp_path):
    outside = "namespace tributary {\nstruct Row {\n  int id;\n};\n}  // namespace tributary\n"
    inside = "namespace tributary {\nnamespace {\nstruct Row {\n};\n}  // namespace\n}  // namespace tributary\n"
    (tmp_path / "src" / "verify").mkdir(parents=True)
    (tmp_path / "src" / "verify" / "rows.cpp").write_text(inside)
    (tmp_path / "src" / "verify" / "rows_test.cpp").write_text(outside)
    assert violations(tmp_path, "process/rows.h", outside + "struct Row;\n") == []
    (tmp_path / "src" / "verify" / "rows.h").write_text(outside)
    found = check_layers.check_tree(tmp_path)
    assert len(found) == 1 and "src/verify/rows.h:2: Row is a type of src/process/rows.h:2 already" in found[0]
