#!/bin/sh
# Has Chromium on this machine, for the tests that need a real browser; prints where it is.
set -eu

find_browser() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return
    done
    return 1
}

find_browser && exit
if [ "$(id -u)" -ne 0 ] || ! grep -qE '^ID(_LIKE)?=.*debian' /etc/os-release; then
    echo "The tests need Chromium: install the package chromium, then run them again." >&2
    exit 2
fi
echo "installing chromium" >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get -qq update && apt-get -qq install --no-install-recommends chromium; } >&2
find_browser
