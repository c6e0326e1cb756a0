#!/bin/sh
# Turns the container into a machine and becomes its init. Needs PORTSIDE_DNS, the address of the name server.
set -eu
groups=/sys/fs/cgroup

mount_groups() {
    umount -R "$groups" 2>/dev/null || true
    mount -t cgroup2 cgroup2 "$groups"
}

if [ "${1-}" != boot ]; then
    mount -o remount,rw /sys
    ! mountpoint -q /proc/sys || mount -o remount,rw /proc/sys
    # These settings aren't namespaced: systemd and packages would change them on the laptop.
    for part in kernel vm fs; do
        mount --bind "/proc/sys/$part" "/proc/sys/$part"
        mount -o remount,bind,ro "/proc/sys/$part"
    done

    # The engine's own resolver answers only in this network namespace. Containers on this server need another one.
    if mountpoint -q /etc/resolv.conf; then umount /etc/resolv.conf; fi
    [ -s /etc/resolv.conf ] || echo "nameserver $PORTSIDE_DNS" >/etc/resolv.conf
    [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -A >/dev/null

    # On a host with cgroup v1 all containers share the root of cgroup v2, and two systemds there would end each other's
    # services. So use a separate branch as the root.
    if [ ! -e "$groups/cgroup.controllers" ]; then
        mount_groups
        own="$groups/portside-$(cat /etc/hostname)"
        mkdir -p "$own"
        find "$own" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || true
        echo $$ >"$own/cgroup.procs"
        exec unshare --cgroup "$0" boot
    fi
fi
mount_groups
unset PORTSIDE_DNS
exec /sbin/init
