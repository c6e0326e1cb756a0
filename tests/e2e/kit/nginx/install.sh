#!/bin/sh
# Debian's Nginx with its brotli module, and the programs that Portside's scripts call. On a base that has Python, also what the
# sample site runs on, and testssl.sh.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends nginx libnginx-mod-http-brotli-static ca-certificates curl mount
update-ca-certificates 2>/dev/null
if command -v python >/dev/null; then
    apt-get install -y -qq --no-install-recommends testssl.sh procps
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt python -m pip install --quiet --no-cache-dir --root-user-action ignore \
        --disable-pip-version-check --require-hashes -r /tmp/requirements.txt
fi
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
