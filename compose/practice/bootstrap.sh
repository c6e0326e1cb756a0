#!/bin/sh
# Writes the root file system of a minimal Debian as a tar archive to standard output, for a machine that
# can't reach Docker Hub. Usage: bootstrap.sh SUITE (trixie, bookworm). Progress goes to standard error.
# Uses mmdebstrap's default mirror. Exit code 2: mmdebstrap is missing and can't be installed.
set -eu
suite=$1
files=$(dirname "$0")/debian

install_tool() {
    apt-get install -y -qq --no-install-recommends mmdebstrap debian-archive-keyring
}

if ! command -v mmdebstrap >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "Docker Hub can't be reached, and building Debian here needs mmdebstrap: install that package." >&2
        exit 2
    fi
    echo "installing mmdebstrap" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The package lists may be missing or old. Errors of other sources are ignored.
    { install_tool || { apt-get update -qq || true; install_tool; }; } >/dev/null 2>&1 || {
        echo "mmdebstrap could not be installed: try 'apt-get update && apt-get install mmdebstrap'." >&2
        exit 1
    }
fi

# As slim as the official images, and without dpkg's sync of each file. Unneeded files are deleted at the end: excluding
# them in dpkg from the start takes half as long again.
# shellcheck disable=SC2016 # mmdebstrap's own shell expands $1
exec mmdebstrap --variant=minbase --include=ca-certificates \
    --dpkgopt='force-unsafe-io' \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --customize-hook='find "$1/usr/share/doc" -type f ! -name copyright -delete' \
    --customize-hook='rm -rf "$1"/usr/share/man/* "$1"/usr/share/locale/*/LC_MESSAGES' \
    --customize-hook="copy-in '$files/slim' /etc/dpkg/dpkg.cfg.d" \
    --format=tar "$suite" -
