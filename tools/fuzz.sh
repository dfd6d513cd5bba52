#!/usr/bin/env bash
# Runs fuzzers (src/**/NAME_fuzz.cpp) under clang's libFuzzer with AddressSanitizer. See ./dev --help.
#
#   tools/fuzz.sh [NAME] [--seconds N]
#
# Each starts from tests/fuzz_corpus/NAME, where its findings are kept as crash-…: a finding that is committed is a test
# from then on, for the fuzzer runs its corpus first. What it merely learns goes to build/fuzz/corpus/NAME.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

seconds=60
only=
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) need_value "$1" $#; seconds=$2; shift 2 ;;
    -*) die 64 "fuzz: unknown option $1; see ./dev --help" ;;
    *) [ -z "$only" ] || die 64 "fuzz: one name at a time"; only=${1%_fuzz}_fuzz; shift ;;
  esac
done
[[ $seconds =~ ^[0-9]+$ ]] || die 64 "fuzz: --seconds takes a whole number, not '$seconds'"

mapfile -t fuzzers < <(find "$ROOT/src" -name '*_fuzz.cpp' -printf '%f\n' | sed 's/\.cpp$//' | sort)
[ ${#fuzzers[@]} -gt 0 ] || die 69 "'fuzz' is not built yet: there is no *_fuzz.cpp in src/"
if [ -n "$only" ]; then
  printf '%s\n' "${fuzzers[@]}" | grep -qx "$only" || die 64 "fuzz: there is no $only; there are: ${fuzzers[*]}"
  fuzzers=("$only")
fi

"$ROOT/tools/setup.sh"
"$ROOT/tools/setup.sh" "$ROOT/deps/apt-fuzz.txt"
"$ROOT/tools/build.sh" --preset fuzz "${fuzzers[@]}"

failed=()
for fuzzer in "${fuzzers[@]}"; do
  findings=$ROOT/tests/fuzz_corpus/${fuzzer%_fuzz}
  learned=$ROOT/build/fuzz/corpus/${fuzzer%_fuzz}
  mkdir -p "$findings" "$learned"
  log=$ROOT/build/fuzz/$fuzzer.log
  say "dev: $fuzzer for $seconds s"
  if "$ROOT/build/fuzz/$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
      -artifact_prefix="$findings/" "$learned" "$findings" >"$log" 2>&1; then
    grep -E 'number_of_executed_units|average_exec_per_sec' "$log" || true
  else
    tail -n 60 "$log" >&2
    failed+=("$fuzzer")
  fi
done
[ ${#failed[@]} -eq 0 ] ||
  die 1 "failed: ${failed[*]}; the input is in tests/fuzz_corpus, again with build/fuzz/NAME FILE"
echo "${#fuzzers[@]} fuzzers, no finding"
