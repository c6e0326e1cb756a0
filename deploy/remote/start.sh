#!/bin/sh
# Start a release's web containers, each with a free local port, and wait until they accept connections.
# run: the folder of their sockets. first, last: the range of ports. parts: services of the live release's compose file to
# restart in place, with their ports. Answers with the ports. Containers of a release that isn't live don't restart by
# themselves.
. "$PORTSIDE/remote/lib.sh"
list=parts . "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${run?}" "${replicas?}" "${first?}" "${last?}" "${seconds?}"
port=$first
[ $# -gt 0 ] || export PORTSIDE_RESTART=no
folder=$(dirname "$compose")

used_ports() {
    ss -Hltn | awk '{print $4}' | sed 's/.*://'
    docker ps --format '{{.Ports}}' | grep -oE ':[0-9]+->' | tr -dc '0-9\n'
    # A live release's container that is just restarting keeps its ports. So do other sites'.
    cat /srv/portside/*/current/.env 2>/dev/null | sed -n 's/^PORTSIDE_PORT_[0-9]*=//p'
}

# Record the next free ports of the range, one for each container.
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
    printf '%s\n' $chosen >"$folder/.env.new" && mv -f "$folder/.env.new" "$folder/.env" || die "No file can be written: is the disk full?"
}

# up OPTION...
up() { said=$(docker compose -f "$compose" up -d --force-recreate "$@" 2>&1); }

# If another process has taken a port, try the next ones.
taken() { printf '%s\n' "$said" | grep -qE 'already allocated|already in use' || end_with "$said"; }

start() {
    used=$(used_ports)
    until choose && up; do taken; done
}

# A container to restart may hang: it gets five seconds to end. Its sockets are removed first, or it would seem to listen.
restart() {
    for part in "$@"; do find "$run" -name "$part.*" -type s -delete; done
    up --no-deps --timeout 5 "$@" || { taken && start; }
}

# Print the first container that doesn't listen yet.
silent() {
    for name in $(seq -f web-%g "$replicas"); do
        # The end of its name is the protocol.
        find "$run" -name "$name.*" -type s | grep -q . || { echo "$name"; return; }
    done
}

if [ $# -gt 0 ]; then restart "$@"; else start; fi
limit=$(($(now) + seconds))
while name=$(silent) && [ -n "$name" ]; do
    ended=$(fallen "$compose" "$replicas" | head -n 1)
    [ -z "$ended" ] && [ "$(now)" -lt "$limit" ] || {
        docker compose -f "$compose" logs --no-color --no-log-prefix --tail 30 "${ended:-$name}"
        [ "$ended" ] || die "The application didn't listen within $seconds s (DEPLOY_HEALTH_TIMEOUT)."
        die "The application started and exited. Its log is above."
    }
    sleep 0.1
done
answer "{\"ports\": [$(ports "$folder" | paste -sd ,)]}"
