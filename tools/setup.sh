#!/usr/bin/env bash
# Installs what the project needs, and only what is missing: Debian packages (deps/apt.txt) and two shared libraries from
# npm (deps/npm.sha512) into build/lib; for the tests also the servers that they start (deps/apt-test.txt, and deps/maven
# and deps/pip into build/jars and build/python). When nothing is missing it takes some tenths of a second.
#
#   tools/setup.sh                     what every command needs
#   tools/setup.sh --tests             that, and what only `./dev test` needs
#   tools/setup.sh deps/apt-lint.txt   only the Debian packages of another list
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

readonly ATTEMPTS=3
readonly LIBRARIES=$ROOT/build/lib

missing_packages() {
  local wanted=("$@")
  comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) \
           <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
             awk '$1 == "installed" { print $2 }' | sort -u)
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=$ATTEMPTS -o DPkg::Lock::Timeout=600 \
    -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1 9>&-
}

# On a machine without PostgreSQL, Debian's package makes a cluster and starts it. Tests start their own, in a directory
# of their own, so ours shall not: while we install, and never where somebody else's PostgreSQL is already there.
readonly NO_CLUSTER=/etc/postgresql-common/createcluster.d/tributary-setup.conf
forbid_cluster() {
  as_root mkdir -p "$(dirname "$NO_CLUSTER")"
  echo 'create_main_cluster = false' | as_root tee "$NO_CLUSTER" >/dev/null
}
allow_cluster() { as_root rm -f "$NO_CLUSTER"; }

install_packages() {
  command -v dpkg-query >/dev/null ||
    die 69 "this is not Debian: use Debian 12, or install what deps/apt.txt names and set TRIBUTARY_APT=no"
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0

  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    die 77 "installing packages needs root and there is no sudo; as root: apt-get install ${missing[*]}"
  log=$ROOT/build/setup-apt.log
  : >"$log"
  local release
  release=$(. /etc/os-release && echo "${ID:-?} ${VERSION_ID:-?}")
  [ "$release" = "debian 12" ] || say "dev: made for Debian 12, this is $release; versions may differ"
  say "dev: installing ${#missing[@]} Debian packages: ${missing[*]}"
  apt_get update || say "dev: apt-get update had errors (see build/setup-apt.log); going on"

  if printf '%s\n' "${missing[@]}" | grep -q '^postgresql-[0-9]'; then
    trap allow_cluster EXIT
    forbid_cluster
  fi
  if ! apt_get install -y --no-install-recommends "${missing[@]}"; then
    tail -n 20 "$log" >&2
    die 69 "apt-get could not install the packages above; its whole output is in build/setup-apt.log"
  fi
  if [ -e "$NO_CLUSTER" ]; then allow_cluster; fi
  trap - EXIT
}

hash_of() { sha512sum "$1" | cut -d' ' -f1; }

# What identifies a verified file without reading its 566 MB again: its wanted hash, size and time of change.
fingerprint() { echo "$2 $(stat -c '%s %Y' "$1")"; }

library_is_right() {
  local file=$1 hash=$2
  [ -f "$file" ] || return 1
  [ "$(cat "$file.verified" 2>/dev/null)" = "$(fingerprint "$file" "$hash")" ] && return 0
  [ "$(hash_of "$file")" = "$hash" ] || return 1
  fingerprint "$file" "$hash" >"$file.verified"
}

# One attempt: download, verify the archive, unpack one file, verify it, move it into place. Says why it failed.
fetch_library() {
  local package=$1 archive_hash=$2 file=$3 file_hash=$4
  local work=$LIBRARIES/.fetch
  rm -rf "$work"
  mkdir -p "$work"
  if ! (cd "$work" && npm pack --loglevel=error --no-progress "$package") >"$work/npm.log" 2>&1 9>&-; then
    grep -v '^npm warn' "$work/npm.log" | tail -n 5 >&2 || true
    say "dev: npm could not download $package"
    return 1
  fi
  local archive
  archive=$(find "$work" -name '*.tgz' | head -n 1)
  if [ "$(hash_of "$archive")" != "$archive_hash" ]; then
    say "dev: $package is not what deps/npm.sha512 says: its sha512 is $(hash_of "$archive")"
    return 1
  fi
  tar -xzf "$archive" -C "$work" "package/$file" || return 1
  if [ "$(hash_of "$work/package/$file")" != "$file_hash" ]; then
    say "dev: $file of $package is not what deps/npm.sha512 says"
    return 1
  fi
  chmod 755 "$work/package/$file"
  mv -f "$work/package/$file" "$LIBRARIES/$file"
  fingerprint "$LIBRARIES/$file" "$file_hash" >"$LIBRARIES/$file.verified"
  rm -rf "$work"
}

install_libraries() {
  local package archive_hash file file_hash attempt
  while read -r package archive_hash file file_hash; do
    library_is_right "$LIBRARIES/$file" "$file_hash" && continue
    [ "$(uname -sm)" = "Linux x86_64" ] || die 69 "$package is for Linux on x86-64; this is $(uname -sm)"
    command -v npm >/dev/null || install_packages npm
    say "dev: fetching $file from $package"
    for ((attempt = 1; ; attempt++)); do
      fetch_library "$package" "$archive_hash" "$file" "$file_hash" && break
      [ $attempt -lt $ATTEMPTS ] ||
        die 69 "$file could not be fetched in $ATTEMPTS attempts; is the npm registry in reach (npm ping)? then run ./dev setup again"
      say "dev: attempt $attempt of $ATTEMPTS failed, trying again"
      sleep $((attempt * 3))
    done
  done < <(sed 's/#.*//' "$ROOT/deps/npm.sha512" | awk 'NF == 4')
}

# The servers that `./dev test` starts. Larger ones are fetched by the tests and benchmarks that want them.
install_servers() {
  local jars=(kafka connect mongo) wheels=(nx-27017 pymongo) missing
  missing=$("$ROOT/tools/jars.py" --missing "${jars[@]}" && /usr/bin/python3 "$ROOT/tools/wheels.py" --missing "${wheels[@]}")
  [ -n "$missing" ] || return 0
  if [ "${TRIBUTARY_APT:-yes}" != no ]; then
    mapfile -t tools < <(packages_of "$ROOT/deps/apt-fetch.txt")
    install_packages "${tools[@]}"
  fi
  "$ROOT/tools/jars.py" "${jars[@]}" >/dev/null 9>&- && /usr/bin/python3 "$ROOT/tools/wheels.py" "${wheels[@]}" >/dev/null 9>&- ||
    die 69 "the servers that tests start are not installed, see above"
}

tests=no
if [ "${1:-}" = --tests ]; then
  tests=yes
  shift
fi
lists=("$@")
for list in "${lists[@]}"; do
  case $list in -*) die 64 "setup: unknown option $list; see ./dev --help" ;; esac
  [ -f "$list" ] || die 64 "setup: there is no list $list; the lists are deps/apt*.txt"
done
libraries=no
if [ ${#lists[@]} -eq 0 ]; then
  lists=("$ROOT/deps/apt.txt")
  [ $tests = no ] || lists+=("$ROOT/deps/apt-test.txt")
  libraries=yes
fi
lock setup
if [ "${TRIBUTARY_APT:-yes}" != no ]; then
  mapfile -t wanted < <(for list in "${lists[@]}"; do packages_of "$list"; done)
  install_packages "${wanted[@]}"
fi
if [ $libraries = yes ]; then install_libraries; fi
if [ $tests = yes ]; then install_servers; fi

# After `sudo ./dev setup` the person must still be able to build here.
if [ "$(id -u)" = 0 ] && [ -n "${SUDO_UID:-}" ]; then
  for made in lib jars python .setup.lock; do
    if [ -e "$ROOT/build/$made" ]; then chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$ROOT/build/$made"; fi
  done
  chown "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$ROOT/build"
fi
