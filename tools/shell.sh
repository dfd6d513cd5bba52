# Sourced by ./dev and the scripts in tools/. Needs bash; sets nothing but functions and ROOT.
#
# Exit codes follow sysexits: 64 wrong usage, 69 something needed is not there, 70 our own bug.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

# die CODE MESSAGE: what is wrong and what to do about it.
die() {
  local code=$1
  shift
  say "dev: $*"
  exit "$code"
}

# need_value FLAG COUNT: ends with a usage error where FLAG is the last word of the command line.
need_value() { [ "$2" -ge 2 ] || die 64 "$1 needs a value"; }

# A lock on build/NAME that lasts until this process ends: ninja does not guard a build folder against a second ninja,
# nor apt against us. Children must not inherit it (9>&-), or a daemon that one of them leaves behind keeps it.
lock() {
  mkdir -p "$ROOT/build"
  exec 9>"$ROOT/build/.$1.lock"
  if ! flock --nonblock 9; then
    say "dev: waiting for another ./dev that works on build/$1"
    flock 9
  fi
}
unlock() { exec 9>&-; }

# Package names of a list in deps/.
packages_of() { sed 's/#.*//' "$1" | awk 'NF { print $1 }'; }
