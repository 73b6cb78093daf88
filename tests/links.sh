#!/usr/bin/env bash
# The walls between the two programs: what each may link, and what may not be in the tree of their symbols.
set -euo pipefail
bin=${ISOQ_TEST_BIN_DIR:?the folder of isoq and isoq-executor}
failed=0

needed() { readelf -d "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p'; }

check() { # check TEXT COMMAND...: the command must succeed
  local text=$1
  shift
  if "$@"; then echo "ok: $text"; else echo "FAILED: $text"; failed=1; fi
}

none_of() { ! needed "$1" | grep -E "$2"; }
only() { ! needed "$1" | grep -vE "$2"; }
no_symbols() { ! nm -C "$1" 2>/dev/null | grep -E "$2" | head -3 | grep .; }

check 'isoq does not link V8' none_of "$bin/isoq" '^lib(v8|node)'
check 'isoq does not link the C++ library' none_of "$bin/isoq" '^libstdc\+\+'
check 'isoq has no symbol of V8' no_symbols "$bin/isoq" ' v8::'
check 'isoq-executor links no hiredis, curl, libevent or json-c' none_of "$bin/isoq-executor" '^lib(hiredis|curl|event|json-c)'
check 'isoq-executor links nothing but V8 and the language libraries' \
  only "$bin/isoq-executor" '^(lib(v8|v8_libplatform|v8_libbase|node|stdc\+\+|gcc_s|c|m|asan|ubsan)\.so|ld-linux)'
exit "$failed"
