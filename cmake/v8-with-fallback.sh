#!/usr/bin/env bash
# Fetches V8 from the wanted Debian suite, or else from that of this distribution.
# usage: cmake/v8-with-fallback.sh SUITE
set -euo pipefail

wanted=$1
here=${BASH_SOURCE[0]%/*}
# shellcheck disable=SC1091
own=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
# Remembered for a day, or a machine without the wanted suite would try for it at every build.
mark=$here/../.v8/no-$wanted

if [ -z "$(find "$mark" -mtime -1 2>/dev/null)" ]; then
  "$here/v8-sdk.sh" --suite "$wanted" && exit 0
  [ -n "$own" ] && [ "$own" != "$wanted" ] || exit 1
fi
printf 'v8: no V8 from %s; using that of this distribution, %s, with an older JavaScript' "$wanted" "$own" >&2
echo ' ("make clean-v8", or a day, and the next build tries again)' >&2
"$here/v8-sdk.sh" --suite "$own"
: >"$mark"
