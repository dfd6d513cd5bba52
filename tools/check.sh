#!/usr/bin/env bash
# Everything about the source that needs no test run. See ./dev --help.
#
#   tools/check.sh [--all] [--fix]
#
# The linter reads the .cpp files that differ from the commit before the newest (a changed header: the .cpp beside it),
# or with --all every one. All other steps always read everything. Every step runs; the end says which failed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
cd "$ROOT"

all=no
fix=no
while [ $# -gt 0 ]; do
  case $1 in
    --all) all=yes; shift ;;
    --fix) fix=yes; shift ;;
    *) die 64 "check: unknown option $1; see ./dev --help" ;;
  esac
done

failed=()
step() {
  local name=$1
  shift
  if "$@"; then say "ok      $name"; else say "FAILED  $name"; failed+=("$name"); fi
}

# Tracked and not-ignored files that are there, NUL-separated.
tracked() {
  git ls-files -z --cached --others --exclude-standard -- "$@" | while IFS= read -r -d '' file; do
    if [ -f "$file" ]; then printf '%s\0' "$file"; fi
  done
}

check_format() {
  if [ $fix = yes ]; then
    tracked '*.h' '*.cpp' | xargs -0 -r -n 20 -P "$(nproc)" clang-format-19 -i
    return
  fi
  local findings
  findings=$(tracked '*.h' '*.cpp' | xargs -0 -r -n 20 -P "$(nproc)" clang-format-19 --dry-run -Werror 2>&1) && return
  # One line a file is enough to find it; the remedy is the same for all.
  grep -E '^[^ ]+:[0-9]+:[0-9]+: ' <<<"$findings" | sort -t: -k1,1 -s -u >&2 || say "$findings"
  say "        ./dev check --fix formats them"
  return 1
}

check_shell() {
  local status=0 file
  while IFS= read -r -d '' file; do
    case $file in
      *.sh | dev | .ci/run) bash -n "$file" || status=1 ;;
    esac
  done < <(tracked)
  return $status
}

check_tools() {
  [ -n "$(find tests/tools -name 'test_*.py' -print -quit 2>/dev/null)" ] || return 0
  PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -c tests/pytest.ini -m 'not long' tests/tools >&2
}

changed_sources() {
  {
    git diff --name-only 'HEAD~1' 2>/dev/null || git ls-files
    git ls-files --others --exclude-standard
  } | grep -E '^src/.*\.(h|cpp)$' | sed 's/\.h$/.cpp/' | sort -u
}

check_lint() {
  "$ROOT/tools/build.sh" --preset release >&2 || return 1
  local commands=build/release/compile_commands.json
  local files
  mapfile -t files < <(
    if [ $all = yes ]; then tracked 'src/*.cpp' | tr '\0' '\n'; else changed_sources; fi |
      while IFS= read -r file; do
        # What is not compiled (a fuzzer, a file just deleted) has no compile command to lint with.
        if [ -f "$file" ] && grep -qF "/$file\"" "$commands"; then echo "$file"; fi
      done)
  [ ${#files[@]} -gt 0 ] || return 0
  say "        linting ${#files[@]} files"
  printf '%s\0' "${files[@]}" |
    xargs -0 -n 1 -P "$(nproc)" clang-tidy-19 -p build/release --quiet --warnings-as-errors='*' \
      --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-deprecated-declarations 2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header' >&2)
}

"$ROOT/tools/setup.sh"
"$ROOT/tools/setup.sh" "$ROOT/deps/apt-lint.txt"
step "layers (layers.toml)" /usr/bin/python3 tools/check_layers.py
step "files (tools/check_files.py)" /usr/bin/python3 tools/check_files.py
step "shell" check_shell
step "tools' own tests" check_tools
step "format (.clang-format)" check_format
step "lint (.clang-tidy)" check_lint
[ ${#failed[@]} -eq 0 ] || die 1 "check: ${#failed[@]} failed: ${failed[*]}"
