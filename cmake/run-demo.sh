#!/usr/bin/env bash
# `make run`: a private Redis, one worker, and a job each way a producer can submit it.
# usage: cmake/run-demo.sh PATH_TO_ISOQ
set -euo pipefail

isoq=$1
say() { printf '%s\n' "$*" >&2; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/isoq-demo.XXXXXX")
redis_pid='' worker_pid=''
stop() { # pid: asks, then insists
  [ -n "$1" ] || return 0
  kill -TERM "$1" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.05
  done
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
clean_up() {
  local status=$?
  trap - EXIT
  stop "$worker_pid"
  stop "$redis_pid"
  if [ "$status" != 0 ]; then
    say "the demo failed; what Redis and the worker said:"
    tail -n 30 "$dir"/*.log >&2 || true
  fi
  rm -rf "$dir"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A socket in the temporary folder: no port to collide with, and nobody else can connect.
socket=$dir/redis.sock
redis-server --port 0 --unixsocket "$socket" --unixsocketperm 700 --save '' --appendonly no --dir "$dir" \
  </dev/null >"$dir/redis.log" 2>&1 &
redis_pid=$!
for _ in {1..100}; do
  redis-cli -s "$socket" PING >/dev/null 2>&1 && break
  kill -0 "$redis_pid" 2>/dev/null || break
  sleep 0.05
done
redis-cli -s "$socket" PING >/dev/null

export ISOQ_REDIS_URL=unix://$socket
"$isoq" worker --redis "$ISOQ_REDIS_URL" </dev/null >"$dir/worker.log" 2>&1 &
worker_pid=$!
# A job may well come before its worker; the demo only reads better the other way round.
for _ in {1..200}; do
  [ "$(redis-cli -s "$socket" ZCARD 'isoq:{default}:workers')" = 0 ] || break
  kill -0 "$worker_pid" 2>/dev/null || exit 1
  sleep 0.05
done

code="const name = await Promise.resolve(input.name);
console.log('hello,', name);
await new Promise((resolve) => setTimeout(resolve, 20));
({ greeting: 'hello, ' + name, squares: [1, 2, 3].map((n) => n * n) })"

say "\$ isoq submit --wait --json --input '{\"name\":\"world\"}' <<'JS'"
say "$code"
say "JS"
printf '%s\n' "$code" | timeout 60 "$isoq" submit --wait --json --input '{"name":"world"}' -

# Any Redis client is a producer.
job='{"id":"raw-1","code":"await Promise.resolve(6) * 7"}'
say ""
say "\$ redis-cli LPUSH 'isoq:{default}:jobs' '$job'"
redis-cli -s "$socket" LPUSH 'isoq:{default}:jobs' "$job" >/dev/null
say "\$ redis-cli BLPOP 'isoq:{default}:reply:raw-1' 30"
# BLPOP answers with the key and the value, a line each; of an answer in time, nothing.
reply=$(redis-cli -s "$socket" BLPOP 'isoq:{default}:reply:raw-1' 30 | tail -n +2)
[ -n "$reply" ] || {
  say "no reply within 30 seconds"
  exit 1
}
printf '%s\n' "$reply"
case $reply in
  *'"success":true'* | *'"success": true'*) ;;
  *) exit 1 ;;
esac
