#!/usr/bin/env bash
# Builds, runs every test there is, and ends with one line: "N passed, N failed, N skipped". See ./dev --help.
#
#   tools/test.sh [--long] [-k FILTER] [--preset release|dev|asan|tsan]
#
# With another preset than release only unit tests and scenarios run: the end-to-end tests start the release program.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

marks='not long'
filter=
preset=release
while [ $# -gt 0 ]; do
  case $1 in
    --long) marks='long or not long'; shift ;;
    -k) need_value "$1" $#; filter=$2; shift 2 ;;
    --preset) need_value "$1" $#; preset=$2; shift 2 ;;
    *) die 64 "test: unknown option $1; see ./dev --help" ;;
  esac
done

case $preset in
  release | dev | asan | tsan) ;;
  *) die 64 "test: there is no preset '$preset'; there are release, dev, asan and tsan" ;;
esac

readonly RESULTS=$ROOT/build/test-results/$preset
rm -rf "$RESULTS"
mkdir -p "$RESULTS/gtest"

if ! "$ROOT/tools/build.sh" --preset "$preset"; then
  say "dev: the build failed, so no test ran; that counts as one failure"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi

# Unit tests and scenarios. A filter that is part of a ctest name chooses those; any other goes to googletest, which
# knows the cases inside them.
ctest_arguments=(--test-dir "$ROOT/build/$preset" -L '^(unit|scenario)$' --output-on-failure -j "$(nproc)"
                 --output-junit "$RESULTS/ctest.xml")
gtest_filter=*
if [ -n "$filter" ]; then
  if ctest --test-dir "$ROOT/build/$preset" -N -R "$filter" 2>/dev/null | grep -q '^ *Test *#'; then
    ctest_arguments+=(-R "$filter")
  else
    gtest_filter="*$filter*"
  fi
fi
ctest_status=0
GTEST_FILTER=$gtest_filter GTEST_OUTPUT=xml:$RESULTS/gtest/ GTEST_COLOR=no \
  ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1} \
  UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1} TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1} \
  ctest "${ctest_arguments[@]}" || ctest_status=$?

# The tools' own tests, and the whole program from outside.
pytest_status=5  # pytest's word for "there was none"
folders=()
if [ "$preset" = release ]; then
  for folder in tests/tools tests/end_to_end; do
    if [ -n "$(find "$ROOT/$folder" -name 'test_*.py' -print -quit 2>/dev/null)" ]; then
      folders+=("$ROOT/$folder")
    fi
  done
fi
if [ ${#folders[@]} -gt 0 ]; then
  pytest_arguments=(-c "$ROOT/tests/pytest.ini" -m "$marks" --junitxml "$RESULTS/pytest.xml")
  # Tests mostly wait: two at a time, each worker with servers of its own (tests/end_to_end/conftest.py).
  if [ -z "$filter" ]; then pytest_arguments+=(-n 2 --dist loadgroup); else pytest_arguments+=(-k "$filter"); fi
  pytest_status=0
  (cd "$ROOT" && TRIBUTARY=$ROOT/build/tributary PYTHONDONTWRITEBYTECODE=1 \
    /usr/bin/python3 -m pytest "${pytest_arguments[@]}" "${folders[@]}") || pytest_status=$?
fi

echo
exec /usr/bin/python3 "$ROOT/tools/test_summary.py" --results "$RESULTS" \
  --ctest-status "$ctest_status" --pytest-status "$pytest_status"
