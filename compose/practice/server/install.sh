#!/bin/sh
# What a rented Debian server comes with, as far as Portside can tell the difference.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    systemd systemd-sysv libpam-systemd dbus openssh-server sudo curl ca-certificates iproute2 kmod
update-ca-certificates 2>/dev/null

# A container image keeps services from starting when their package is installed; a server doesn't.
rm -f /usr/sbin/policy-rc.d
# There is no hardware to wait for and no console to log in at.
systemctl mask systemd-modules-load.service systemd-udevd.service systemd-networkd.service \
    systemd-networkd-wait-online.service \
    getty@tty1.service console-getty.service getty.target getty-static.service

# Every server has host keys and an identity of its own: made at its first boot.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: >/etc/machine-id

useradd --create-home --shell /bin/bash deploy
echo 'deploy ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/deploy
chmod 0440 /etc/sudoers.d/deploy
mkdir -p /etc/docker
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
