#!/bin/sh
# Starts a release's web containers, each with a free local port, and waits until they accept connections.
#   start.sh COMPOSE RUN REPLICAS FIRST LAST SECONDS      RUN: the folder of their sockets; FIRST, LAST: the range of ports
# Answers with the ports. They don't restart by themselves until they are live.
. "$PORTSIDE/remote/lib.sh"
compose=$1 run=$2 replicas=$3 port=$4 last=$5 seconds=$6
export PORTSIDE_RESTART=no
folder=$(dirname "$compose")

used_ports() {
    ss -Hltn | awk '{print $4}' | sed 's/.*://'
    docker ps --format '{{.Ports}}' | grep -oE ':[0-9]+->' | tr -dc '0-9\n'
    # A live release whose container is just being started again, or its site's, has its ports all the same.
    cat /srv/portside/*/current/.env 2>/dev/null | sed -n 's/^PORTSIDE_PORT_[0-9]*=//p'
}

# Notes the next free ports of the range, one for each container.
choose() {
    chosen='' number=0
    while [ "$number" -lt "$replicas" ]; do
        [ "$port" -le "$last" ] || die "Too few ports are free in the range (DEPLOY_PORTS)."
        if ! printf '%s\n' "$used" | grep -qx "$port"; then
            number=$((number + 1))
            chosen="$chosen PORTSIDE_PORT_$number=$port"
        fi
        port=$((port + 1))
    done
    # shellcheck disable=SC2086
    printf '%s\n' $chosen >"$folder/.env"
}

start() {
    used=$(used_ports)
    until choose && said=$(docker compose -f "$compose" up -d --force-recreate 2>&1); do
        # Somebody took a port in between: the next ones. Anything else is an error.
        printf '%s\n' "$said" | grep -qE 'already allocated|already in use' || die "$said"
    done
}

# The first container that doesn't listen yet.
silent() {
    for name in $(seq -f web-%g "$replicas"); do
        # Its last letters say its protocol.
        find "$run" -name "$name.*" -type s | grep -q . || { echo "$name"; return; }
    done
}

start
limit=$(($(now) + seconds))
while name=$(silent) && [ -n "$name" ]; do
    ended=$(fallen "$compose" "$replicas" | head -n 1)
    [ -z "$ended" ] && [ "$(now)" -lt "$limit" ] || {
        docker compose -f "$compose" logs --no-color --no-log-prefix --tail 30 "${ended:-$name}"
        [ "$ended" ] || die "The application doesn't listen after $seconds s (DEPLOY_HEALTH_TIMEOUT)."
        die "The application started and ended; above is its log."
    }
    sleep 0.1
done
answer "{\"ports\": [$(ports "$folder" | paste -sd ,)]}"
