#!/bin/sh
# Starts a release's web containers on a free local port, and waits until they accept connections.
#   start.sh COMPOSE SOCKET FIRST LAST SECONDS      FIRST, LAST: the range of ports
# Answers with the port. They don't restart by themselves until they are live.
. "$PORTSIDE/remote/lib.sh"
compose=$1 socket=$2 port=$3 last=$4 seconds=$5
export PORTSIDE_RESTART=no
settings=$(dirname "$compose")/.env

used_ports() {
    ss -Hltn | awk '{print $4}' | sed 's/.*://'
    docker ps --format '{{.Ports}}' | grep -oE ':[0-9]+->' | tr -dc '0-9\n'
}

start() {
    used=$(used_ports)
    while [ "$port" -le "$last" ]; do
        if ! printf '%s\n' "$used" | grep -qx "$port"; then
            echo "PORTSIDE_PORT=$port" >"$settings"
            said=$(docker compose -f "$compose" up -d --force-recreate 2>&1) && return
            # Somebody took the port in between: the next one. Anything else is an error.
            printf '%s\n' "$said" | grep -qE 'already allocated|already in use' || die "$said"
        fi
        port=$((port + 1))
    done
    die "No port is free in the range (DEPLOY_PORTS)."
}

running() { [ "$(docker compose -f "$compose" ps -q --status running web-1)" ]; }

start
limit=$(($(now) + seconds))
until [ -S "$socket" ]; do
    running && [ "$(now)" -lt "$limit" ] || {
        docker compose -f "$compose" logs --no-color --no-log-prefix --tail 30
        running && die "The application doesn't listen after $seconds s (DEPLOY_HEALTH_TIMEOUT)."
        die "The application started and ended; above is its log."
    }
    sleep 0.1
done
answer "{\"port\": $port}"
