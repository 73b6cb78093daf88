#!/usr/bin/env bash
# What a producer sees who has nothing but redis-cli: the whole path on real parts, from LPUSH to the reply key.
set -euo pipefail
isoq=${ISOQ_TEST_BIN_DIR:?the folder of isoq and isoq-executor}/isoq
dir=$(mktemp -d "${TMPDIR:-/tmp}/isoq-test.XXXXXX")
export ISOQ_REDIS_URL=unix://$dir/redis.sock
pids=() passed=0 failed=0

r() { redis-cli -s "$dir/redis.sock" "$@"; }
clean_up() {
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap clean_up EXIT

# until SECONDS COMMAND...: runs it again and again, until it succeeds or the time is over
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

start_redis() {
  redis-server --port 0 --unixsocket "$dir/redis.sock" --save '' --appendonly no --dir "$dir" >"$dir/redis.log" 2>&1 &
  pids+=("$!")
  until_true 20 r PING
}

start_worker() { # → worker_pid
  "$isoq" worker "$@" </dev/null >>"$dir/worker.log" 2>&1 &
  worker_pid=$!
  pids+=("$worker_pid")
}

push() { r LPUSH 'isoq:{default}:jobs' "$1" >/dev/null; }
reply() { r BLPOP "isoq:{default}:reply:$1" "${2:-20}" | tail -n +2; }
field() { python3 -c 'import json,sys; v=json.loads(sys.argv[1])
for k in sys.argv[2].split("."): v=v[k]
print(v if isinstance(v,str) else json.dumps(v))' "$1" "$2"; }
has_reply() { [ "$(r EXISTS "isoq:{default}:reply:$1")" = 1 ]; }
dead_letters_over() { [ "$(r LLEN 'isoq:{default}:dead')" -gt "$1" ]; }
workers_are() { [ "$(r ZCARD 'isoq:{default}:workers')" = "$1" ]; }
processed_are() { [ "$(r HGET 'isoq:{default}:stats' processed)" = "$1" ]; }
something_is_claimed() { [ -n "$(r --scan --pattern 'isoq:{default}:claimed:*')" ]; }
claimed_is_empty() { [ -z "$(r --scan --pattern 'isoq:{default}:claimed:*')" ] && [ "$(r LLEN 'isoq:{default}:jobs')" = 0 ]; }
alive() { r PING >/dev/null && kill -0 "$worker_pid"; }

check() { # check TEXT ACTUAL EXPECTED
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n  got      %s\n  expected %s\n' "$1" "$2" "$3"
  fi
}
contains() { # contains TEXT ACTUAL PART
  case "$2" in *"$3"*) check "$1" yes yes ;; *) check "$1" "$2" "… $3 …" ;; esac
}

start_redis
start_worker --executors 2

# --- a job and its reply
push '{"id":"a1","code":"console.log(\"hi\"); [1,2,3].map(x => x*2)"}'
answer=$(reply a1)
check 'a result is the JSON of the completion value' "$(field "$answer" result)" '[2,4,6]'
check 'stdout is what was printed' "$(field "$answer" stdout)" hi
push '{"id":"a2","code":"1","reply_ttl_s":100}'
until_true 30 has_reply a2
ttl=$(r TTL 'isoq:{default}:reply:a2')
check 'an uncollected reply has the TTL that the job asked for' "$([ "$ttl" -ge 90 ] && [ "$ttl" -le 100 ] && echo right || echo "$ttl")" right
until_true 20 claimed_is_empty
check 'claimed is empty afterwards' "$(r --scan --pattern 'isoq:{default}:claimed:*')" ''
push '{"id":"a3","code":"await Promise.resolve(input.big)","input":{"big":[1.0,12345678901234567890]},"metadata":{"n":1.0,"deep":{"a":[]}}}'
answer=$(reply a3)
check 'input is what JSON.parse gives' "$(field "$answer" result)" '[1,12345678901234567000]'
contains 'metadata comes back as it was' "$answer" '"metadata":{"n":1.0,"deep":{"a":[]}}'

# --- limits: each gives its status, keeps what was printed, and the next job is served
limit() { # limit NAME STATUSES JOB-FIELDS CODE
  local answer status
  push "{\"id\":\"$1\",$3,\"code\":\"console.log('before'); $4\"}"
  answer=$(reply "$1")
  status=$(field "$answer" status)
  case " $2 " in *" $status "*) status=$2 ;; esac
  check "$1: status" "$status" "$2"
  check "$1: what was printed is kept" "$(field "$answer" stdout)" before
  push "{\"id\":\"$1-next\",\"code\":\"'served'\"}"
  check "$1: the next job is served" "$(field "$(reply "$1-next")" result)" served
}
limit endless-loop timeout '"timeout_ms":200' 'while(true){}'
limit allocation-loop oom '"memory_mb":32' 'const a=[];for(;;)a.push([1,2,3])'
limit native-call 'timeout oom' '"timeout_ms":300' "'x'.padEnd(2**28).normalize('NFD')"
limit huge-array oom '"timeout_ms":30000' 'new Array(2**32-1).fill(0)'

# --- bad input: a clear message, on the reply key where one can be known, and a dead letter in every case
bad() { # bad MESSAGE-PART ID JOB
  local dead answer
  dead=$(r LLEN 'isoq:{default}:dead')
  printf '%s' "$3" | r -x LPUSH 'isoq:{default}:jobs' >/dev/null
  if [ -n "$2" ]; then
    answer=$(reply "$2")
    check "$3: status" "$(field "$answer" status)" invalid
    contains "$3: message" "$(field "$answer" error.message)" "$1"
  fi
  until_true 30 dead_letters_over "$dead" || true
  contains "$3: dead letter" "$(field "$(r LINDEX 'isoq:{default}:dead' 0)" reason)" "$1"
}
bad 'not JSON' '' 'not json'
bad 'not JSON' '' ''
bad 'object' '' '[1,2]'
bad 'not JSON' '' '{"id":"x","code":'
bad 'id' '' '{"id":"bad id!","code":"1"}'
bad 'id' '' '{"code":"1"}'
bad 'code' b1 '{"id":"b1"}'
bad 'code' b2 '{"id":"b2","code":5}'
bad 'timeout_ms' b3 '{"id":"b3","code":"1","timeout_ms":"soon"}'
bad 'timeout_ms' b4 '{"id":"b4","code":"1","timeout_ms":-1}'
bad 'timeout_ms' b5 '{"id":"b5","code":"1","timeout_ms":1e99}'
bad 'memory_mb' b6 '{"id":"b6","code":"1","memory_mb":99999999}'
bad 'max_output_bytes' b7 '{"id":"b7","code":"1","max_output_bytes":1.5}'
bad 'capture_console' b8 '{"id":"b8","code":"1","capture_console":"yes"}'
bad 'did you mean' b9 '{"id":"b9","code":"1","timout_ms":5}'
bad 'bindings' b10 '{"id":"b10","code":"1","bindings":["noSuchFunction"]}'
bad 'metadata' b11 '{"id":"b11","code":"1","metadata":[]}'
bad 'tenant' b12 '{"id":"b12","code":"1","tenant":7}'
bad 'reply_to' b13 '{"id":"b13","code":"1","reply_to":""}'
bad 'seed' b14 '{"id":"b14","code":"1","seed":-5}'
bad 'cpu_ms' b15 '{"id":"b15","code":"1","cpu_ms":null}'
bad 'code' b16 '{"id":"b16","code":"1","code":"2"}'
bad 'isolation' b17 '{"id":"b17","code":"1","isolation":"vm"}'
check 'the worker is unharmed' "$(alive && echo yes)" yes
push '{"id":"after-bad","code":"1+1"}'
check 'and serves' "$(field "$(reply after-bad)" result)" 2

# --- 1,000 jobs pushed at once to two workers: 1,000 results, each once
start_worker --executors 2
second=$worker_pid
until_true 30 workers_are 2
r DEL 'isoq:{default}:stats' >/dev/null
for i in $(seq 1000); do
  printf 'LPUSH isoq:{default}:jobs "{\\"id\\":\\"n%d\\",\\"code\\":\\"%d*2\\"}"\n' "$i" "$i"
done | r --pipe >/dev/null
until_true 120 processed_are 1000 || true
check '1,000 jobs are processed' "$(r HGET 'isoq:{default}:stats' status:ok)" 1000
once=0
while read -r length; do [ "$length" = 1 ] && once=$((once + 1)); done < <(
  for i in $(seq 1000); do echo "LLEN isoq:{default}:reply:n$i"; done | r)
check '1,000 replies, each once' "$once" 1000
check 'and it is their own result' "$(field "$(reply n777)" result)" 1554

# --- isoq cancel: a waiting job, a delayed one, running ones, an unknown one
push '{"id":"endless","code":"console.log(\"printed\"); for (;;);","timeout_ms":60000}'
until_true 30 something_is_claimed
check 'cancel of a running job says so' "$("$isoq" cancel endless 2>&1)" 'cancelled endless (running)'
answer=$(reply endless)
check 'its status' "$(field "$answer" status)" cancelled
contains 'what it printed is kept' "$(field "$answer" console_output)" printed
push '{"id":"asleep","code":"await new Promise(r => setTimeout(r, 60000))","timeout_ms":90000}'
until_true 30 something_is_claimed
check 'cancel of a job that waits for a timer' "$("$isoq" cancel asleep 2>&1)" 'cancelled asleep (running)'
check 'its status' "$(field "$(reply asleep)" status)" cancelled
push '{"id":"later","code":"1","delay_ms":3600000}'
delayed_is() { [ "$(r ZCARD 'isoq:{default}:delayed')" = "$1" ]; }
until_true 30 delayed_is 1
check 'cancel of a delayed job' "$("$isoq" cancel later 2>&1)" 'cancelled later (delayed)'
check 'its status' "$(field "$(reply later)" status)" cancelled
check 'it is delayed no more' "$(r ZCARD 'isoq:{default}:delayed')" 0
status=0
answer=$("$isoq" cancel nobody 2>&1) || status=$?
contains 'cancel of an unknown job says so' "$answer" 'nobody'
check 'and fails' "$status" 1

# --- death of an executor: a crashed result
push '{"id":"victim","code":"console.log(\"started\"); while(true){}","timeout_ms":60000}'
executor_of_busy_job() {
  busy=''
  for worker in "${pids[@]:1}"; do
    for child in $(cat "/proc/$worker/task/"*/children 2>/dev/null); do
      state=$(awk '{print $3}' "/proc/$child/stat" 2>/dev/null) || continue
      [ "$state" = R ] && busy=$child && return 0
    done
  done
  return 1
}
until_true 30 executor_of_busy_job
kill -KILL "$busy"
answer=$(reply victim)
check 'kill -9 of an executor: crashed' "$(field "$answer" status)" crashed
check 'with what it printed' "$(field "$answer" stdout)" started

# --- death of a worker that holds jobs: another one's results for all of them
kill -TERM "$second" "${pids[1]}"
wait "$second" "${pids[1]}" 2>/dev/null || true
start_worker --executors 2 --lease-ms 2000 --lease-renew-ms 300 --reap-interval-ms 300
doomed=$worker_pid
for i in 1 2 3 4; do push "{\"id\":\"held$i\",\"code\":\"await new Promise(r => setTimeout(r, 1500)); 'done $i'\"}"; done
until_true 30 something_is_claimed
kill -KILL "$doomed"
wait "$doomed" 2>/dev/null || true
start_worker --executors 2 --lease-ms 2000 --lease-renew-ms 300 --reap-interval-ms 300
for i in 1 2 3 4; do check "job $i of a killed worker" "$(field "$(reply "held$i" 60)" result)" "done $i"; done
until_true 20 claimed_is_empty
check 'nothing is left claimed' "$(r --scan --pattern 'isoq:{default}:claimed:*')" ''
kill -TERM "$worker_pid"
status=0
wait "$worker_pid" || status=$?
check 'SIGTERM ends a worker with 0' "$status" 0

echo "$passed passed, $failed failed"
if [ "$failed" != 0 ]; then
  tail -n 40 "$dir/worker.log"
  exit 1
fi
