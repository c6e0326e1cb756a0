#!/bin/sh
# Makes sure that a Docker Engine answers. Any will do, also one that DOCKER_HOST names; then there is nothing to do. Else, as
# root on Debian or Ubuntu, installs and starts one; to anyone else it says in one line what to install (exit 2). It asks as
# `fab practice` will, through the Docker SDK, since the docker command may be missing. PYTHON names a Python that has it.
# Usage: engine.sh [install]. With install it only installs, where surely no engine is and we may; that takes no Python.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
log=/var/log/portside-dockerd.log
patience=60 # seconds

answers() {
    (cd "$root" && "$python" -c 'import sys; from deploy.practice.engine import answers; sys.exit(not answers())')
}

refuse() {
    echo "No Docker Engine answers: $*" >&2
    exit 2
}

# A daemon that was killed hard leaves its number behind, and the next one refuses to start while any process, even a dead
# one that nobody waited for, has that number.
forget() { # FILE PROGRAM
    [ -e "$1" ] || return 0
    status=/proc/$(cat "$1")/status
    if [ ! -e "$status" ] || ! grep -q "^Name:[[:space:]]*$2\$" "$status" || grep -q '^State:[[:space:]]*[ZX]' "$status"; then
        rm -f "$1"
    fi
}

install_engine() {
    echo "installing Docker Engine (docker.io, iptables)"
    export DEBIAN_FRONTEND=noninteractive
    set -- apt-get install -y -qq --no-install-recommends docker.io iptables
    # The lists may be missing or old; another source's trouble is no reason to stop.
    "$@" >"$log" 2>&1 || { apt-get update -qq >>"$log" 2>&1 || true; "$@" >>"$log" 2>&1; } || {
        tail -n 10 "$log" >&2
        echo "Docker Engine could not be installed: try 'apt-get install docker.io iptables'." >&2
        exit 1
    }
    # For DEPLOY_BUILD=local; in some distributions docker.io holds them itself.
    for name in docker-cli docker-buildx; do
        apt-get install -y -qq --no-install-recommends "$name" >>"$log" 2>&1 || true
    done
}

start_engine() {
    echo "starting Docker Engine"
    if [ -d /run/systemd/system ]; then
        systemctl start docker
        return
    fi
    forget /var/run/docker.pid dockerd
    forget /var/run/docker/containerd/containerd.pid containerd
    mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
    setsid dockerd >>"$log" 2>&1 </dev/null &
}

# Whether there may be one, at any of the places that we look at.
is_there() {
    [ -n "${DOCKER_HOST-}" ] || command -v dockerd >/dev/null ||
        [ -S /var/run/docker.sock ] || [ -S "${XDG_RUNTIME_DIR:-/run}/docker.sock" ] ||
        [ -S ~/.docker/run/docker.sock ] || [ -S ~/.colima/docker.sock ]
}

may_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

if [ "${1-}" = install ]; then
    is_there || ! may_install || install_engine
    exit 0
fi
if answers; then
    exit 0
elif [ -n "${DOCKER_HOST-}" ]; then
    refuse "start the one at DOCKER_HOST=$DOCKER_HOST, or unset DOCKER_HOST."
elif [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]; then
    refuse "you may not use this machine's; join its group (usermod -aG docker YOU) and log in again."
elif ! may_install; then
    refuse "install and start Docker (Debian and Ubuntu: the packages docker.io and iptables), then run this again."
fi

command -v dockerd >/dev/null && command -v iptables >/dev/null || install_engine
answers || start_engine
deadline=$(($(date +%s) + patience))
until answers; do
    if [ "$(date +%s)" -ge "$deadline" ]; then
        tail -n 15 "$log" >&2 || true
        echo "Docker Engine did not start within $patience s; its log is $log (or: journalctl -u docker)." >&2
        exit 1
    fi
    sleep 0.2
done
echo "Docker Engine answers"
