#!/bin/sh
# Debian's Redis, as user 999, with /data.
set -eu
export DEBIAN_FRONTEND=noninteractive
groupadd --system --gid 999 redis
useradd --system --uid 999 --gid redis --home-dir /data redis
apt-get update -qq
apt-get install -y -qq --no-install-recommends redis-server
install -d -o redis -g redis /data
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
