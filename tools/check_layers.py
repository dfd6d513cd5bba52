#!/usr/bin/env python3
"""Holds every #include in src/ against layers.toml, which says what the entries mean, and gives each type one home.

    tools/check_layers.py [--root DIR]

Prints one line for each violation and exits 1 when there is any:

    src/process/merge.cpp:12: layer process may not include codec ("codec/pgoutput.h"); allowed: base, contracts, model;
    see layers.toml
"""

import argparse
import pathlib
import re
import sys
import tomllib

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
# Text and comments, which are blanked before patterns are looked for; raw strings first, since they contain quotes.
NOT_CODE = re.compile(
    r'R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'"
    r"|//[^\n]*|/\*.*?\*/",
    re.DOTALL,
)
TEST_SUFFIXES = ("_test.cpp", "_bench.cpp", "_fuzz.cpp", "_for_test.h", "/test_source.h")
# A type outside of unnamed namespaces. Two of one name in a program are one to the linker, whatever is in them: it keeps one of the
# two vectors of it, say.
TYPE = re.compile(r"^(?:struct|class|enum class) (\w+)(?: final)?(?: : [^;]*)? \{")
SOURCE_SUFFIXES = {".h", ".cpp", ".hpp", ".cc", ".inc"}
# C headers that the C++ standard library itself provides.
STANDARD_C = {
    "assert.h", "ctype.h", "errno.h", "fenv.h", "float.h", "inttypes.h", "math.h", "stdarg.h", "stddef.h", "stdint.h",
    "stdio.h", "stdlib.h", "string.h", "wchar.h", "immintrin.h",
}


def is_within(folder, layer):
    return folder == layer or folder.startswith(layer + "/")


def matches(header, prefix):
    return header == prefix or (prefix.endswith("/") and header.startswith(prefix))


def blank_out(text):
    """`text` with strings and comments replaced by spaces; lines stay where they are."""
    return NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


class Layers:
    def __init__(self, settings):
        self.layers = settings.get("layers", {})
        self.headers = settings.get("headers", [])
        self.pure = settings.get("pure", [])
        for rule in self.pure:
            for pattern in rule.get("patterns", []):
                pattern["compiled"] = re.compile(pattern["regex"])

    def problems(self):
        """What is wrong with layers.toml itself: unknown names, and layers that include each other."""
        known = set(self.layers) | {"*"}
        for name, layer in self.layers.items():
            for other in layer.get("may_include", []) + layer.get("tests_may_include", []):
                if other not in known:
                    yield f"layer {name} names {other}, which is no layer"
                elif other in self.layers and name in self.reachable(other):
                    yield f"layers {name} and {other} include each other"
        for rule in self.headers + self.pure:
            for name in rule["layers"]:
                if name not in known | {"tests"}:
                    yield f"a rule for {rule.get('prefixes', rule.get('headers'))} names {name}, which is no layer"

    def reachable(self, start):
        found, waiting = set(), [start]
        while waiting:
            for other in self.layers[waiting.pop()].get("may_include", []):
                if other in self.layers and other not in found:
                    found.add(other)
                    waiting.append(other)
        return found

    def layer_of(self, path):
        """The longest layer that holds `path`, such as "log/embedded" for "log/embedded/segment.h"; or None."""
        fitting = [name for name in self.layers if path.startswith(name + "/")]
        return max(fitting, key=len, default=None)

    def check_project_include(self, layer, is_test, header):
        settings = self.layers[layer]
        target = self.layer_of(header)
        if target is None:
            return f"\"{header}\" is in no layer; write the path from src/, as in \"base/result.h\""
        allowed = settings.get("may_include", []) + (settings.get("tests_may_include", []) if is_test else [])
        if target == layer or "*" in allowed or header in settings.get("files", []):
            return None
        if any(is_within(target, name) for name in allowed):
            return None
        names = sorted(allowed) + settings.get("files", [])
        return f"layer {layer} may not include {target} (\"{header}\"); allowed: {', '.join(names) or 'nothing'}"

    def check_outside_include(self, layer, is_test, header):
        rules = [rule for rule in self.headers if any(matches(header, prefix) for prefix in rule["prefixes"])]
        if not rules:
            if header in STANDARD_C or re.fullmatch(r"[a-z_0-9]+", header):
                return None
            return f"<{header}> is in no [[headers]] entry; say there who may include it"
        allowed = {name for rule in rules for name in rule["layers"]}
        if "*" in allowed or (is_test and "tests" in allowed) or any(is_within(layer, name) for name in allowed):
            return None
        return f"layer {layer} may not include <{header}>; allowed: {', '.join(sorted(allowed))}"

    def check_file(self, path, text):
        """Yields (line, message) for the file at `path`, which is relative to src/."""
        layer = self.layer_of(path)
        if layer is None:
            yield 1, f"folder {path.split('/')[0]} has no entry"
            return
        is_test = path.endswith(TEST_SUFFIXES)
        folder = pathlib.PurePosixPath(path).parent
        rules = [] if is_test else [r for r in self.pure if any(is_within(layer, name) for name in r["layers"])]

        for number, line in enumerate(text.splitlines(), 1):
            include = INCLUDE.match(line)
            if not include:
                continue
            ours, outside = include.groups()
            if ours is not None:
                if "/" not in ours:
                    ours = str(folder / ours)
                message = self.check_project_include(layer, is_test, ours)
            else:
                message = self.check_outside_include(layer, is_test, outside)
                if message is None and any(outside in rule["headers"] for rule in rules):
                    message = f"layer {layer} is pure and may not include <{outside}>"
            if message:
                yield number, message

        if rules:
            for number, line in enumerate(blank_out(text).splitlines(), 1):
                for pattern in (p for rule in rules for p in rule.get("patterns", [])):
                    if found := pattern["compiled"].search(line):
                        yield number, f"layer {layer} is pure and may not use {pattern['what']} (\"{found.group(0)}\")"


def types_of(text):
    """(line, name) of the types that `text` defines for other files to see."""
    unnamed = False
    for number, (line, whole) in enumerate(zip(blank_out(text).splitlines(), text.splitlines()), 1):
        if line.startswith("namespace {"):
            unnamed = True
        elif whole == "}  // namespace":
            unnamed = False
        elif not unnamed and (found := TYPE.match(line)):
            yield number, found.group(1)


def check_types(files):
    """`files`: (path below src/, text). Yields what has the name of another file's type."""
    homes = {}
    for name, text in files:
        if name.endswith(TEST_SUFFIXES):
            continue
        for number, type_name in types_of(text):
            home = homes.setdefault(type_name, f"src/{name}:{number}")
            if home != f"src/{name}:{number}":
                yield f"src/{name}:{number}: {type_name} is a type of {home} already, and a program that has both is undefined; rename one"


def check_tree(root):
    """All violations in the project at `root`, as lines to print."""
    with open(root / "layers.toml", "rb") as file:
        layers = Layers(tomllib.load(file))
    lines = [f"layers.toml: {problem}" for problem in layers.problems()]
    source = root / "src"
    files = [(path.relative_to(source).as_posix(), path.read_text(encoding="utf-8"))
             for path in sorted(source.rglob("*")) if path.suffix in SOURCE_SUFFIXES and path.is_file()]
    for name, text in files:
        lines += [f"src/{name}:{number}: {message}; see layers.toml" for number, message in layers.check_file(name, text)]
    return lines + list(check_types(files))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    lines = check_tree(parser.parse_args().root)
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
