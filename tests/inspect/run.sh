#!/usr/bin/env bash
# The tests of --inspect, with DevTools clients that others wrote: chrome-remote-interface, from npm into the build
# folder, and `node inspect`. Arguments go to node's test runner (--test-name-pattern=...).
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
copy=${ISOQ_TEST_BIN_DIR:?the folder of isoq and isoq-executor}/../tests/inspect

mkdir -p "$copy"
cp "$source"/{package.json,package-lock.json,.npmrc,*.mjs} "$copy"
cd "$copy"
if ! cmp -s package-lock.json node_modules/.isoq-installed; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.isoq-installed
fi
exec node --test "$@" inspect.test.mjs
