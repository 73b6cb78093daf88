#!/usr/bin/env bash
# Unpacks Debian's packaged V8 into a private folder, .v8/<suite>/root, without installing anything.
#
# Why not `apt-get install libnode-dev`: it conflicts with NodeSource's nodejs, and the V8 of a stable
# Debian is old. So the packages come from the wanted suite on the mirror that this machine's apt already
# uses, with libc6 and every other library they need, and are only unpacked. Programs linked against the
# SDK run with the SDK's own dynamic linker and C library (see FindV8.cmake).
#
# apt gets a state of its own, with an empty dpkg status file: dependencies resolve completely, and
# neither the machine's package lists nor its dpkg database are touched. Proxy, timeouts and the like stay
# as the machine has them; signatures are verified against debian-archive-keyring.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: cmake/v8-sdk.sh [--suite SUITE] [--force]

Fetches V8 from Debian's SUITE (default: forky) into .v8/SUITE/root.
  --suite SUITE   forky: V8 13.6 (the default); trixie: 11.3; bookworm: 10.2
  --force         fetch again although the SDK is complete
USAGE
}

say() { printf 'v8-sdk: %s\n' "$*" >&2; }
die() {
  printf 'v8-sdk: %s\n' "$@" >&2
  exit 1
}

suite=forky
force=0
while [ $# -gt 0 ]; do
  case $1 in
    --suite)
      [ $# -ge 2 ] || die "--suite needs a name, such as forky"
      suite=$2
      shift
      ;;
    --suite=*) suite=${1#--suite=} ;;
    --force) force=1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done
[[ $suite =~ ^[a-z][a-z0-9-]*$ ]] || die "--suite: '$suite' is not the name of a Debian suite"

script_dir=${BASH_SOURCE[0]%/*}
[ "$script_dir" != "${BASH_SOURCE[0]}" ] || script_dir=.
top=$(cd "$script_dir/.." && pwd -P)
sdk=$top/.v8/$suite
manifest=$sdk/MANIFEST
# Raise it when the layout of the folder changes: older SDKs are then fetched again.
format=1

# The manifest moves into place after root/, so its presence means that root/ is whole.
is_complete() {
  local line
  [ -d "$sdk/root" ] && [ -r "$manifest" ] || return 1
  IFS= read -r line <"$manifest" || return 1
  [ "$line" = "# isoq V8 SDK, format $format" ]
}

report() {
  local line version='?'
  while IFS= read -r line; do
    case $line in '# V8 '*) version=${line#\# V8 } ;; esac
  done <"$manifest"
  say "V8 $version ($suite) $1 in .v8/$suite/root"
}

if [ "$force" = 0 ] && is_complete; then
  report "is ready"
  exit 0
fi

for tool in apt-get apt-cache dpkg dpkg-deb tar flock sha256sum; do
  command -v "$tool" >/dev/null ||
    die "'$tool' is missing: the SDK is made of Debian packages." \
      "On another system set V8_ROOT to a prefix with V8's headers and libraries."
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] ||
  die "$keyring is missing, so nothing can be verified." \
    "Install it: apt-get install debian-archive-keyring"

mkdir -p "$sdk"
exec 9>"$sdk/.lock"
if ! flock -n 9; then
  say "another fetch of $suite is running; waiting for it"
  flock 9
  if is_complete; then
    report "is ready"
    exit 0
  fi
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/isoq-v8-sdk.XXXXXXXX")
new=$sdk/root.tmp
trap 'rm -rf "$work" "$new"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
rm -rf "$new" "$sdk/root.old"
# When it runs as root, apt downloads as the user _apt, who must be able to enter.
chmod 755 "$work"

mirror=$("$top/cmake/debian-mirror.sh") ||
  die "Add Debian to apt's sources, or set V8_ROOT to a prefix with V8's headers and libraries."

arch=$(dpkg --print-architecture)
mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial "$work"/dpkg "$work"/empty
: >"$work/dpkg/status"
cat >"$work/sources.list" <<EOS
deb [arch=$arch target=Packages signed-by=$keyring] $mirror $suite main
EOS
# Read after the machine's apt.conf. Cleared: hooks that would act on the machine, and a default release
# or pins that cannot hold here.
cat >"$work/apt.conf" <<EOC
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear APT::Default-Release;
#clear APT::Architectures;
APT::Architecture "$arch";
APT::Architectures "$arch";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::Languages "none";
Dir::State "$work/state";
Dir::State::status "$work/dpkg/status";
Dir::Cache "$work/cache";
Dir::Cache::archives "$work/cache/archives";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "$work/empty";
Dir::Etc::preferences "$work/no-preferences";
Dir::Etc::preferencesparts "$work/empty";
EOC

# apt's chatter is shown only when something fails.
quietly() {
  "$@" >"$work/log" 2>&1 </dev/null && return 0
  cat "$work/log" >&2
  return 1
}
# One try can meet a mirror that is being synchronised.
retried() {
  quietly "$@" && return 0
  say "trying once more"
  sleep 2
  quietly "$@"
}

say "reading the package index of $suite"
retried apt-get -c "$work/apt.conf" -q update --error-on=any ||
  die "the package index of $suite could not be had from the mirror that apt uses (see above)."

field() { # package, field: the candidate's control field
  apt-cache -c "$work/apt.conf" show --no-all-versions "$1" 2>/dev/null | sed -n "s/^$2: //p" | head -n 1
}
libnode=$(field libnode-dev Depends | grep -oE 'libnode[0-9]+' | head -n 1) || true
[ -n "$libnode" ] || die "$suite has no libnode-dev for $arch that names its libnode library."

say "downloading $libnode $(field "$libnode" Version), its libraries and libnode-dev"
retried apt-get -c "$work/apt.conf" -q -y --download-only --no-install-recommends install "$libnode" ||
  die "the packages of $suite could not be downloaded (see above)."
(cd "$work/cache/archives" && retried apt-get -c "$work/apt.conf" -q download libnode-dev) ||
  die "libnode-dev of $suite could not be downloaded (see above)."

# Before Debian 13 libc6 lives in /lib, afterwards in /usr/lib. With the directories merged beforehand both
# end up in one place; --keep-directory-symlink lets tar walk through the links.
mkdir -p "$new/usr/lib" "$new/usr/lib64"
ln -s usr/lib "$new/lib"
ln -s usr/lib64 "$new/lib64"
# libnode depends on Node's own modules and command: downloaded, but of no use to an embedder.
printf '%s\n' ./etc ./usr/bin ./usr/sbin ./usr/share/nodejs ./usr/share/man ./usr/share/lintian >"$work/unwanted"
packages=$work/packages
: >"$packages"
for deb in "$work"/cache/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" |
    tar -x -C "$new" --no-same-owner --keep-directory-symlink --exclude-from="$work/unwanted"
  sum=$(sha256sum <"$deb")
  # shellcheck disable=SC2016
  printf '%s %s\n' "$(dpkg-deb --show --showformat '${Package} ${Version}' "$deb")" "${sum%% *}" >>"$packages"
done
# Links that name the root directory would lead out of the SDK, into the machine's own files.
while IFS= read -r -d '' link; do
  target=$(readlink "$link")
  if [ -e "$new$target" ]; then
    ln -sfnr "$new$target" "$link"
  fi
done < <(find "$new/usr/lib" "$new/usr/lib64" -type l -lname '/*' -print0)

header=$(find "$new/usr/include" -name v8-version.h -print -quit)
[ -n "$header" ] || die "libnode-dev of $suite has no v8-version.h: its layout is not known to this script."
[ -n "$(find "$new/usr/include" -name v8-inspector.h -print -quit)" ] ||
  die "libnode-dev of $suite has no v8-inspector.h, which isoq needs."
[ -n "$(find -L "$new/usr/lib" "$new/usr/lib64" -maxdepth 2 -type f -name 'ld-linux*.so.*' -print -quit)" ] ||
  die "libc6 of $suite brought no dynamic linker: its layout is not known to this script."
version=$(sed -nE 's/^#define V8_(MAJOR|MINOR|BUILD)_(VERSION|NUMBER) +([0-9]+).*/\3/p;s/^#define V8_PATCH_LEVEL +([0-9]+).*/\1/p' "$header" |
  paste -s -d .)
{
  printf '# isoq V8 SDK, format %s\n' "$format"
  printf '# suite %s, architecture %s, fetched %s\n' "$suite" "$arch" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
  printf '# V8 %s\n' "$version"
  sort "$packages"
} >"$work/MANIFEST"

rm -f "$manifest"
if [ -e "$sdk/root" ]; then
  mv "$sdk/root" "$sdk/root.old"
fi
mv "$new" "$sdk/root"
cp "$work/MANIFEST" "$manifest.tmp"
mv "$manifest.tmp" "$manifest"
rm -rf "$sdk/root.old"
report "fetched"
