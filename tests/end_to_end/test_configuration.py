"""A pipeline file with mistakes: all of them at once, each at its place, and nothing is started or made."""

import re

import pytest

from harness import ExitCode
from harness.pipeline import Pipeline

GOOD = """\
pipeline: shop
clients:
  acme:
    source: postgresql://tributary@127.0.0.1:1/none
domains:
  orders: { table: public.orders, event: order }
data: ./data
"""


@pytest.fixture
def refused(built_program, tmp_path):  # pylint: disable=unused-argument
    """Runs `run` and `check` on a text; returns the complaint lines of `run`."""

    def run(text, environment=None):
        pipeline = Pipeline(tmp_path / "bad", "shop", {}, environment=environment)
        pipeline.file.write_text(text)
        before = sorted(tmp_path.rglob("*"))
        done = pipeline.command("run", limit=20).expect(ExitCode.CONFIG)
        assert sorted(tmp_path.rglob("*")) == before, "something was created"
        assert pipeline.command("check", limit=20).exit_code == ExitCode.CONFIG
        return done.errors.splitlines()

    return run


def place(lines, line, column, *words):
    """One of `lines` complains about line:column with all of `words`."""
    found = [text for text in lines if re.search(rf"shop\.yaml:{line}:{column}: ", text)]
    assert found, f"nothing at {line}:{column} in {lines}"
    assert any(all(word in text for word in words) for text in found), found


def test_a_good_file_passes_check(built_program, tmp_path):
    pipeline = Pipeline(tmp_path / "good", "shop", {})
    pipeline.file.write_text(GOOD)
    pipeline.command("check").expect(ExitCode.OK)
    assert not pipeline.data.exists()


def test_a_misspelt_key_is_named_with_the_right_one(refused):
    place(refused(GOOD.replace("domains:", "domans:")), 5, 1, "domans", "domains")


def test_a_duplicate_key_is_refused(refused):
    place(refused(GOOD + "data: ./other\n"), 8, 1, "data")
    place(refused(GOOD.replace("domains:", "  acme: { source: postgresql://tributary@127.0.0.1:2/none }\ndomains:")),
          5, 3, "acme")


def test_all_mistakes_are_told_at_once(refused):
    text = GOOD.replace("event: order", "evnt: order").replace("acme:", "Acme:").replace("data:", "dta:")
    lines = refused(text)
    place(lines, 3, 3, "Acme")
    place(lines, 6, 35, "evnt", "event")
    place(lines, 7, 1, "dta", "data")


def test_mistakes_of_every_kind_are_told_at_once(refused):
    text = (GOOD.replace("/none\n", "/none?foo=bar\n    password: ${env:NO_SUCH_VARIABLE}\n")
            .replace("domains:", "  globex: { source: postgresql://tributary@127.0.0.1:1/none, colour: red }\ndomains:")
            .replace("event: order", "event: order, x: 1").replace("data:", "dta:") + "data: ./a\ndata: ./b\nraw: { at: embedded, raw_ttl: 5 }\n"
            "views:\n  sales:\n    sql: SELECT id + FROM orders\n  late: SELECT random() AS r FROM orders\n")
    lines = refused(text)
    place(lines, 4, 13, "acme", "foo")
    place(lines, 5, 15, "NO_SUCH_VARIABLE")
    place(lines, 6, r"\d+", "colour")
    assert any("acme" in line and "globex" in line for line in lines), lines
    place(lines, 8, r"\d+", "domain orders", "x")
    place(lines, 9, 1, "dta")
    place(lines, 11, 1, "data")
    place(lines, 12, r"\d+", "raw_ttl")
    place(lines, 15, r"\d+", "sales", "syntax")
    place(lines, 16, r"\d+", "random")


def test_what_follows_from_another_mistake_is_not_told(refused):
    views = "views:\n  sales: SELECT id FROM orders\n  late: SELECT id FROM sales\n"
    assert len(refused(GOOD.replace("domains:", "domans:") + views)) == 2  # the key, and that domains are missing
    assert len(refused(GOOD.replace("  orders:", "  Orders:") + views)) == 1
    assert len(refused(GOOD + views.replace("SELECT id FROM orders", "{ sq: SELECT id FROM orders }"))) == 2


def test_wrong_sql_is_told_at_its_place_inside_the_file(refused):
    lines = refused(GOOD + "views:\n  sales:\n    sql: |\n      SELECT id +\n        FROM orders\n")
    assert any(re.search(r"shop\.yaml:1[12]:\d+: ", line) for line in lines), lines
    lines = refused(GOOD + "views:\n  sales:\n    sql: SELECT random() AS r FROM orders\n")
    place(lines, 10, 17, "random")
    lines = refused(GOOD + "views:\n  sales:\n    sql: SELECT id FROM ordres\n")
    place(lines, 10, 25, "ordres", "orders")


def test_a_missing_secret_is_told_and_not_guessed(refused):
    text = GOOD.replace("/none\n", "/none\n    password: ${env:NO_SUCH_VARIABLE}\n")
    place(refused(text), 5, 15, "NO_SUCH_VARIABLE")
    text = GOOD.replace("/none\n", "/none\n    password: ${file:./no-such-file}\n")
    place(refused(text), 5, 15, "no-such-file")


def test_a_password_in_the_url_is_refused_without_being_shown(refused):
    lines = refused(GOOD.replace("tributary@", "tributary:hunter2hunter2@"))
    place(lines, 4, 13, "password")
    assert "hunter2hunter2" not in "\n".join(lines)


def test_two_clients_on_one_database_are_refused(refused):
    text = GOOD.replace("domains:", "  globex:\n    source: postgresql://tributary@127.0.0.1:1/none\ndomains:")
    lines = refused(text)
    assert any("acme" in line and "globex" in line for line in lines), lines


def test_what_is_not_yaml_or_not_a_file_is_refused(refused, tmp_path):
    place(refused(GOOD + "clients: [\n"), r"\d+", r"\d+")
    refused("\0\1\2")
    refused("[" * 5000)
    refused("a: &a [x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n"
                                        for i in range(20)))
    absent = Pipeline(tmp_path / "absent", "shop", {})
    absent.file.unlink()
    done = absent.command("run", limit=20)
    assert done.exit_code != ExitCode.OK and absent.file.name in done.errors


@pytest.mark.parametrize(("key", "value", "named"), [("raw", "{ at: embedded, ttl: 90d }", "ttl"),
                                                     ("process", "flink", "flink")])
def test_what_is_not_built_yet_is_refused_by_name(built_program, tmp_path, key, value, named):
    pipeline = Pipeline(tmp_path / "later", "shop", {})
    pipeline.file.write_text(f"{GOOD}{key}: {value}\n")
    done = pipeline.command("run", limit=20)
    assert done.exit_code in (ExitCode.CONFIG, ExitCode.UNAVAILABLE)
    place(done.errors.splitlines(), 8, r"\d+", named)
    assert not pipeline.data.exists()
