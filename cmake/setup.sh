#!/usr/bin/env bash
# Installs the Debian packages that building and testing isoq needs, and only those that are missing.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }

packages=(
  build-essential cmake ninja-build pkg-config
  libhiredis-dev libevent-dev libjson-c-dev libcurl4-openssl-dev libexpat1-dev libseccomp-dev libinih-dev
  libwebsockets-dev libuv1-dev check
  redis-server python3 ca-certificates debian-archive-keyring
)
# A node from elsewhere (NodeSource, nvm) brings its own npm, and Debian's would conflict with it.
command -v npm >/dev/null || packages+=(npm)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  say "this is no Debian system; install the counterparts of: ${packages[*]}"
  exit 0
fi

# shellcheck disable=SC2016
installed=$(dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qx "ii *$package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    say "missing packages: ${missing[*]}"
    say "install them as root: apt-get install --no-install-recommends ${missing[*]}"
    exit 1
  }
  as_root=(sudo)
fi

# isoq's tests and demo start Redis servers of their own. A system-wide one that installing the package would
# start, and enable, is not wanted; one that was there before is left alone.
policy=/usr/sbin/policy-rc.d
stay_stopped=0
for package in "${missing[@]}"; do
  if [ "$package" = redis-server ] && [ -d /run/systemd/system ]; then
    stay_stopped=1
  fi
done
if [ "$stay_stopped" = 1 ] && [ ! -e "$policy" ]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  # shellcheck disable=SC2016
  printf '%s\n' '#!/bin/sh' '# Put here by isoq for a moment, while redis-server is installed.' \
    '[ "$1" = redis-server ] && exit 101' 'exit 0' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi

install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y --no-install-recommends install "${missing[@]}" </dev/null
}
candidates_known() {
  # shellcheck disable=SC2016
  [ "$(apt-cache --quiet=0 show --no-all-versions "${missing[@]}" 2>/dev/null | grep -c '^Package: ')" -ge ${#missing[@]} ]
}
say "installing with apt-get: ${missing[*]}"
if ! candidates_known || ! install; then
  say "the package lists are missing or old; reading them again"
  "${as_root[@]}" apt-get -q update </dev/null
  install
fi
if [ "$stay_stopped" = 1 ]; then
  "${as_root[@]}" systemctl disable --quiet redis-server || true
fi
