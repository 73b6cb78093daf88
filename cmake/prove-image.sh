#!/usr/bin/env bash
# Proves the Dockerfile where there is no container engine: runs its own steps, read from the file, in folders
# made by debootstrap, then a worker and a job in the result. Needs root, debootstrap and redis-server.
# usage: cmake/prove-image.sh [FOLDER]     FOLDER keeps the base system for the next time (build/image)
set -euo pipefail

say() { printf 'prove-image: %s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}

top=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd -P)
work=$(realpath -m "${1:-$top/build/image}")
[ "$(id -u)" = 0 ] || die "needs root, for chroot"
for tool in debootstrap redis-server redis-cli unshare chroot; do
  command -v "$tool" >/dev/null || die "'$tool' is missing"
done
# A mount namespace of our own: what is mounted below vanishes with us, however we end.
if [ "${ISOQ_PROVE_INSIDE:-}" != 1 ]; then
  ISOQ_PROVE_INSIDE=1 exec unshare --mount --propagation private "${BASH_SOURCE[0]}" "$work"
fi

redis_pid='' worker_pid=''
clean_up() {
  [ -z "$worker_pid" ] || kill "$worker_pid" 2>/dev/null || true
  [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
  [ -z "${socket_dir:-}" ] || rm -rf "$socket_dir"
}
trap clean_up EXIT

mkdir -p "$work"
mirror=$("$top/cmake/debian-mirror.sh")

base_system() { # image reference, such as debian:trixie-slim: the folder of its base system
  local suite=${1#debian:}
  suite=${suite%-slim}
  [[ $1 == debian:* && $suite =~ ^[a-z]+$ ]] || die "no base system for the image '$1'"
  if [ ! -e "$work/base-$suite/.complete" ]; then
    say "making a base system of $suite"
    rm -rf "$work/base-$suite"
    debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
      "$suite" "$work/base-$suite" "$mirror" >"$work/debootstrap.log" 2>&1 ||
      { tail -n 20 "$work/debootstrap.log" >&2; die "debootstrap failed"; }
    : >"$work/base-$suite/.complete"
  fi
  printf '%s' "$work/base-$suite"
}

# The way to the network is this machine's: its resolver, its proxies, the authorities it trusts, npm's registry.
passed_env=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
  [ -z "${!name:-}" ] || passed_env+=("$name=${!name}")
done
if command -v npm >/dev/null; then
  passed_env+=("npm_config_registry=$(npm config get registry 2>/dev/null)")
fi
authorities=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}
[ ! -r "$authorities" ] || passed_env+=("NODE_EXTRA_CA_CERTS=/run/lent-authorities.crt")
lend_network() { # root
  [ ! -r "$authorities" ] || cp -L "$authorities" "$1/run/lent-authorities.crt"
  mkdir -p "$1/etc/apt/apt.conf.d"
  cp -L /etc/resolv.conf /etc/hosts "$1/etc/" 2>/dev/null || true
  apt-config dump --format '%f "%v";%n' Acquire::http Acquire::https | grep -i proxy >"$1/etc/apt/apt.conf.d/90lent" || true
}

# Sets `enter`, the command that runs another one in a root: with a /proc, a /dev and a clean environment.
enter_as() { # root, directory, user
  mountpoint -q "$1/proc" || mount -t proc proc "$1/proc"
  mountpoint -q "$1/dev" || mount --rbind /dev "$1/dev"
  # shellcheck disable=SC2016
  enter=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
    "${passed_env[@]}" "${image_env[@]}"
    chroot --userspec="$3" "$1" /bin/sh -c 'cd "$0" && exec "$@"' "$2")
}

declare -A stages
image_env=() root='' directory=/ user=0:0 entrypoint='' stage=0
begin_stage() { # image [AS name]
  local base
  base=$(base_system "$1")
  root=$work/stage-$stage
  stage=$((stage + 1))
  directory=/ user=0:0
  [ -z "${3:-}" ] || stages[$3]=$root
  say "FROM $*"
  rm -rf "$root"
  cp -a --reflink=auto "$base" "$root"
  lend_network "$root"
}
copy() { # [--from=stage] source destination
  local from=$top destination
  if [[ $1 == --from=* ]]; then
    from=${stages[${1#--from=}]}
    shift
  fi
  destination=$2
  [[ $destination == /* ]] || destination=$directory/$destination
  mkdir -p "$root/$destination"
  # As the build context would be: .dockerignore's simple patterns are tar's, too.
  local ignored=()
  if [ "$from" = "$top" ]; then
    mapfile -t ignored < <(sed -E 's|^\*\*/||; s|^|--exclude=./|; s|=\./node_modules|=node_modules|' "$top/.dockerignore")
  fi
  tar -C "$from/$1" "${ignored[@]}" -cf - . | tar -C "$root/$destination" --no-same-owner -xf -
}

# Instructions, continuation lines joined, comments dropped.
mapfile -t instructions < <(sed -E '/^[[:space:]]*#/d' "$top/Dockerfile" | sed -E ':a; /\\$/ { N; s/\\\n/ /; ba }' | sed '/^[[:space:]]*$/d')
for line in "${instructions[@]}"; do
  read -r word rest <<<"$line"
  # shellcheck disable=SC2086
  case $word in
    FROM) begin_stage $rest ;;
    RUN)
      say "RUN $(tr -s ' ' <<<"$rest" | cut -c 1-100)"
      enter_as "$root" "$directory" "$user"
      "${enter[@]}" /bin/sh -c "$rest" >"$work/run.log" 2>&1 </dev/null ||
        { tail -n 60 "$work/run.log" >&2; die "this step failed: $rest"; }
      ;;
    WORKDIR)
      directory=$rest
      mkdir -p "$root$directory"
      ;;
    COPY) copy $rest ;;
    ENV) image_env+=("$rest") ;;
    USER)
      user=$(awk -F: -v name="$rest" '$1 == name { print $3 ":" $4 }' "$root/etc/passwd")
      [ -n "$user" ] || die "USER $rest: no such user in the image"
      ;;
    ENTRYPOINT) entrypoint=$(tr -d '[]"' <<<"$rest") ;;
    CMD) ;;
    *) die "this script does not know the instruction $word" ;;
  esac
done
[ -n "$entrypoint" ] || die "the Dockerfile has no ENTRYPOINT"
say "the image is $(du -shx --exclude=proc --exclude=dev "$root" | cut -f 1)"

say "a job in it, without Redis"
enter_as "$root" / "$user"
"${enter[@]}" "$entrypoint" run --json -e 'await Promise.resolve(6) * 7' </dev/null

say "a worker in it"
socket_dir=$(mktemp -d "$root/tmp/redis.XXXXXX")
redis-server --port 0 --unixsocket "$socket_dir/s" --unixsocketperm 777 --save '' --dir "$socket_dir" </dev/null >"$work/redis.log" 2>&1 &
redis_pid=$!
chmod 755 "$socket_dir"
for _ in {1..100}; do
  redis-cli -s "$socket_dir/s" PING >/dev/null 2>&1 && break
  sleep 0.05
done
image_env+=("ISOQ_REDIS_URL=unix://${socket_dir#"$root"}/s")
enter_as "$root" / "$user"
"${enter[@]}" "$entrypoint" worker </dev/null >"$work/worker.log" 2>&1 &
worker_pid=$!
timeout 60 redis-cli -s "$socket_dir/s" LPUSH 'isoq:{default}:jobs' '{"id":"1","code":"[...new Set([3,1,3])].sort().join()"}' >/dev/null
reply=$(timeout 60 redis-cli -s "$socket_dir/s" BLPOP 'isoq:{default}:reply:1' 30 | tail -n +2)
printf '%s\n' "$reply"
if [[ $reply != *'"success":true'* && $reply != *'"success": true'* ]]; then
  tail -n 30 "$work/worker.log" >&2
  die "the job did not succeed"
fi
"${enter[@]}" "$entrypoint" status
kill -TERM "$worker_pid"
wait "$worker_pid" || die "the worker did not end well after SIGTERM"
worker_pid=''
say "the image works"
