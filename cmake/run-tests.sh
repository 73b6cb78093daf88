#!/usr/bin/env bash
# Runs the tests of a build folder and ends with a line `N passed, N failed`, counted from ctest's own report.
# usage: cmake/run-tests.sh BUILD_DIR [ctest options]
set -euo pipefail

build=$1
shift
report=$(mktemp)
trap 'rm -f "$report"' EXIT

status=0
ctest --test-dir "$build" --output-on-failure --no-tests=error -j2 --output-junit "$report" "$@" </dev/null || status=$?

total=0 passed=0 skipped=0
while IFS= read -r line; do
  case $line in *'<testcase '*) ;; *) continue ;; esac
  total=$((total + 1))
  case $line in
    *' status="run"'*) passed=$((passed + 1)) ;;
    *' status="disabled"'*) skipped=$((skipped + 1)) ;;
    *' status="notrun"'*)
      # Skipped by its own wish; a program that is not there is "notrun" as well, and has failed.
      IFS= read -r line
      case $line in *'message="SKIP_'*) skipped=$((skipped + 1)) ;; esac
      ;;
  esac
done <"$report"
failed=$((total - passed - skipped))
# ctest's verdict counts even if its report names no culprit.
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
  failed=1
fi

[ "$skipped" = 0 ] || printf '%s skipped\n' "$skipped"
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] || exit 1
