#!/usr/bin/env bash
# The clients printed in queue/PROTOCOL.md, taken from the document and run against a real worker. A language whose
# client library is not on the machine is left out, and said so; redis-cli always runs. NODE_PATH finds `redis`.
set -euo pipefail
isoq=${ISOQ_TEST_BIN_DIR:?the folder of isoq and isoq-executor}/isoq
document=${ISOQ_TEST_SOURCE_DIR:?the top of the tree}/queue/PROTOCOL.md
dir=$(mktemp -d "${TMPDIR:-/tmp}/isoq-test.XXXXXX")
pids=() passed=0 failed=0 skipped=0
clean_up() {
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap clean_up EXIT

snippet() { # snippet LANGUAGE N: the N-th fenced block of that language
  awk -v language="$1" -v wanted="$2" '
    $0 == "```" language { n++; on = n == wanted; next }
    /^```/ { on = 0 }
    on { print }' "$document"
}

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" >"$dir/redis.log" 2>&1 &
pids+=("$!")
deadline=$((SECONDS + 20))
until redis-cli -p "$port" PING >/dev/null 2>&1; do [ "$SECONDS" -lt "$deadline" ]; sleep 0.05; done
export REDIS_URL=redis://127.0.0.1:$port/0
"$isoq" worker --executors 1 </dev/null >"$dir/worker.log" 2>&1 &
pids+=("$!")

expect() { # expect NAME PART COMMAND...
  local name=$1 part=$2 out
  shift 2
  out=$(timeout 60 "$@" 2>&1) || true
  case "$out" in
  *"$part"*) passed=$((passed + 1)) ;;
  *) failed=$((failed + 1)); printf 'FAILED: %s\n%s\n' "$name" "$out" ;;
  esac
}

answers=('"result":"4"' '"result":"3"')
for n in 1 2; do
  snippet sh "$n" | sed "s/redis-cli/redis-cli -p $port/" >"$dir/client.sh"
  expect "redis-cli, snippet $n" "${answers[n - 1]}" bash "$dir/client.sh"
done
# Debian's interpreter, whose packages these are; another one may come first in PATH.
python=python3
/usr/bin/python3 -c 'import redis' 2>/dev/null && python=/usr/bin/python3
if "$python" -c 'import redis' 2>/dev/null; then
  snippet python 1 >"$dir/client.py"
  expect python 'ok [2,4,6]' "$python" "$dir/client.py"
else
  skipped=$((skipped + 1)); echo 'no redis-py here: the Python snippet is left out'
fi
if node -e 'require("redis")' 2>/dev/null; then
  snippet js 1 >"$dir/client.js"
  expect node 'ok [2,4,6]' node "$dir/client.js"
else
  skipped=$((skipped + 1)); echo 'no redis for Node.js here: its snippet is left out'
fi
# Debian's packages of Go libraries are a GOPATH.
if [ -d /usr/share/gocode/src/github.com/gomodule/redigo ] && go version >/dev/null 2>&1; then
  snippet go 1 >"$dir/client.go"
  expect go 'ok [2,4,6]' env GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$dir/gocache" go run "$dir/client.go"
else
  skipped=$((skipped + 1)); echo 'no redigo for Go here: its snippet is left out'
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
