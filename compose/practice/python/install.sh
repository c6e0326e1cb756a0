#!/bin/sh
# Debian's Python with the official image's names: python, python3 and pip in /usr/local/bin, headers (without a
# compiler), and a pip that may install into the system, which Debian's own refuses.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 python3-venv python3-pip-whl libpython3-dev netbase tzdata

version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
rm -f "/usr/lib/python$version/EXTERNALLY-MANAGED"
for name in python python3 "python$version"; do
    ln -s "/usr/bin/python$version" "/usr/local/bin/$name"
done
# Debian installs into dist-packages; Dockerfiles written for the official image name site-packages.
mkdir -p "/usr/local/lib/python$version/site-packages"
rmdir "/usr/local/lib/python$version/dist-packages" 2>/dev/null || true
ln -s site-packages "/usr/local/lib/python$version/dist-packages"

set -- /usr/share/python-wheels/pip-*.whl
python3 "$1/pip" install --quiet --no-index --no-compile --root-user-action=ignore "$1"
find / -xdev -name 'libpython3*.a' -delete
rm -rf /var/lib/apt/lists/* /var/cache/apt/* "$HOME/.cache"
python -m pip --version
