#!/bin/sh
# The packages of a rented Debian server, as far as they matter to Portside.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    systemd systemd-sysv libpam-systemd dbus openssh-server sudo curl ca-certificates iproute2 kmod
update-ca-certificates 2>/dev/null

# In a container image, installing a package doesn't start its services; on a server it does.
rm -f /usr/sbin/policy-rc.d
# There is no hardware to wait for and no console to log in on.
systemctl mask systemd-modules-load.service systemd-udevd.service systemd-networkd.service \
    systemd-networkd-wait-online.service \
    getty@tty1.service console-getty.service getty.target getty-static.service

# Every server creates its own host keys and identity at its first boot.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: >/etc/machine-id

useradd --create-home --shell /bin/bash deploy
echo 'deploy ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/deploy
chmod 0440 /etc/sudoers.d/deploy
mkdir -p /etc/docker
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
