#!/bin/sh
# Makes sure that a Docker Engine answers, any engine, or the one of DOCKER_HOST. If none does, root on Debian or Ubuntu
# gets one installed and started; for others it prints what to install (exit code 2). Like `fab practice` it uses the
# Docker SDK, because the docker command may be missing. PYTHON: a Python with the SDK.
# Usage: engine.sh [install]. With install it only installs, if there is no engine and it may; that needs no Python.
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

# A killed daemon leaves its PID file, and the next one refuses to start while any process, even a zombie, has that PID.
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
    # The package lists may be missing or old. Errors of other sources are ignored.
    "$@" >"$log" 2>&1 || { apt-get update -qq >>"$log" 2>&1 || true; "$@" >>"$log" 2>&1; } || {
        tail -n 10 "$log" >&2
        echo "Docker Engine could not be installed: try 'apt-get install docker.io iptables'." >&2
        exit 1
    }
    # For DEPLOY_BUILD=local; in some distributions they are part of docker.io.
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

# Whether there may be an engine at one of the usual addresses.
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
