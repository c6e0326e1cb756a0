#!/bin/sh
# Debian's PostgreSQL 17 with the layout of the official image: user 999, no default cluster, the socket's folder
# open to every user, listening on every address.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
groupadd --gid 999 postgres
useradd --uid 999 --gid postgres --home-dir /var/lib/postgresql --shell /bin/bash postgres
mkdir -p /etc/postgresql-common /var/lib/postgresql/data /var/run/postgresql /docker-entrypoint-initdb.d
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql-17 locales
localedef -i en_US -c -f UTF-8 -A /usr/share/locale/locale.alias en_US.UTF-8

# Without llvmjit.so PostgreSQL doesn't compile expressions. Nothing else here uses LLVM.
rm -rf /usr/lib/postgresql/17/lib/llvmjit.so /usr/lib/postgresql/17/lib/bitcode
find / -xdev \( -name 'libLLVM*.so*' -o -name 'libz3.so*' \) -delete
sed -i "s/^#\?listen_addresses = .*/listen_addresses = '*'/" /usr/share/postgresql/17/postgresql.conf.sample

chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql
chmod 1777 /var/lib/postgresql/data
chmod 3777 /var/run/postgresql
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
