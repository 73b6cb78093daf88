#!/usr/bin/env bash
# Prints the Debian mirror on which this machine's apt finds the distribution itself, so that no script has to
# name one. RELEASE is the suite as the sources spell it: that needs no package lists, and the archives of
# security and other updates have other names and drop out.
set -euo pipefail

# shellcheck disable=SC1091
codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-sid}")
while IFS='|' read -r release uri; do
  case $release in
    "$codename" | oldstable | stable | testing | unstable | sid)
      printf '%s\n' "$uri"
      exit 0
      ;;
  esac
done < <(apt-get indextargets --format "\$(RELEASE)|\$(REPO_URI)" 'Created-By: Packages' 'Component: main')
echo "apt's sources name no Debian mirror (component main) for this distribution" >&2
exit 1
