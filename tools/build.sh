#!/usr/bin/env bash
# Configures (when needed) and builds one preset into build/PRESET. See ./dev --help.
#
#   tools/build.sh [--preset release|dev|asan|tsan|fuzz] [target…]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

preset=release
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --preset) need_value "$1" $#; preset=$2; shift 2 ;;
    --preset=*) preset=${1#*=}; shift ;;
    -*) die 64 "build: unknown option $1; see ./dev --help" ;;
    *) targets+=("$1"); shift ;;
  esac
done
case $preset in
  release | dev | asan | tsan | fuzz) ;;
  *) die 64 "build: there is no preset '$preset'; there are release, dev, asan, tsan and fuzz" ;;
esac
[ -f "$ROOT/CMakeLists.txt" ] || die 69 "build: there is no CMakeLists.txt yet"

# A second clone of the project compiles nothing again: paths count from the build folder, not from the root.
export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1

directory=$ROOT/build/$preset
configured=$directory/.configured
lock "$preset"

if [ ! -f "$directory/build.ninja" ] || [ ! -f "$configured" ] || [ "$ROOT/CMakePresets.json" -nt "$configured" ]; then
  mkdir -p "$directory"
  extra=()
  # The presets name ccache; without it the compiler is called directly.
  command -v ccache >/dev/null || extra+=(-DCMAKE_CXX_COMPILER_LAUNCHER=)
  (cd "$ROOT" && cmake --preset "$preset" "${extra[@]}") >"$directory/configure.log" 2>&1 9>&- ||
    { cat "$directory/configure.log" >&2; die 1 "build: cmake could not configure the preset $preset"; }
  touch "$configured"
fi

ninja -C "$directory" --quiet "${targets[@]}" 9>&- || die 1 "build: the $preset build failed"

if [ "$preset" = release ] && [ -x "$directory/tributary" ]; then
  ln -sfn release/tributary "$ROOT/build/tributary"
fi
unlock

# Which folder may include which is part of the build, not of a review. Last, so that it hides no compile error.
/usr/bin/python3 "$ROOT/tools/check_layers.py" || die 1 "build: includes against layers.toml, see above"
