#!/bin/sh
# Starts the data services and waits until they are healthy; then makes the database's password the one in secrets/.
#   data.sh COMPOSE ROOT VOLUME BEGUN READY WHY [MAINTENANCE WORD SOCKETS]
# ROOT: the site's folder; VOLUME: the database's; WHY: what a database that runs is made anew for, or empty: it stays.
# MAINTENANCE: the folder that closes the site meanwhile by a file that says WORD; SOCKETS: the live release's folder of
# them, as its containers name it.
# BEGUN, READY: files that note when the database was first started, and when it was first ready. One that was begun by us
# and never ready holds nothing but what its own first start made of it: where that was cut off, it is made anew.
. "$PORTSIDE/remote/lib.sh"
compose=$1 root=$2 volume=$3 begun=$4 ready=$5 why=$6 maintenance=${7:-} word=${8:-} sockets=${9:-}
closed=$maintenance/closed
. "$PORTSIDE/remote/password.sh"

volume_there() { docker volume inspect "$volume" >/dev/null 2>&1; }

ever_live() { [ -L "$root/current" ] || find "$root/releases" -name release.json 2>/dev/null | grep -q .; }

# mark FILE [LINE]: notes the time, and a line more, in a file that is on the disk from then on, also after a power cut
mark() { { date -u '+%Y-%m-%d %H:%M:%S UTC' && echo "${2:-}"; } >"$1" && sync "$1" "${1%/*}"; }

clear_half_made() {
    echo "The database's first start was cut off ($(cat "$begun")), and no release was ever live: it is made anew."
    docker compose -f "$compose" rm -fsv db && docker volume rm "$volume" || die "The half-made database can't be taken away."
}

# PostgreSQL's number for what is in the volume: facts.sh knows by it whether that is another database by now.
identity() {
    # shellcheck disable=SC2016 # for the container's shell
    docker compose -f "$compose" exec -T db sh -c 'exec psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"' sh \
        'select system_identifier from pg_control_system()' </dev/null 2>/dev/null
}

container() { docker compose -f "$compose" ps -aq db 2>/dev/null; }

# Whether the database's container runs, be it paused.
there() { docker inspect --format '{{.State.Status}}' "$(container)" 2>/dev/null | grep -qxE 'running|paused'; }

# Over TCP, as its health check asks.
listens() {
    # shellcheck disable=SC2016 # for the container's shell
    docker compose -f "$compose" exec -T db sh -c 'pg_isready -q -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"' \
        </dev/null >/dev/null 2>&1
}

# within SECONDS COMMAND: until it succeeds
within() {
    limit=$(($(now) + $1))
    until "$2"; do
        [ "$(now)" -lt "$limit" ] || return 1
        sleep 0.2
    done
}

# Docker asks every half minute; until then it says what was true before.
called_healthy() { docker inspect --format '{{.State.Health.Status}}' "$id" | grep -qx healthy; }

# One that was stopped by a signal or paused goes on; one that hangs is started again.
wake() {
    id=$(container)
    docker unpause "$id" >/dev/null 2>&1
    docker kill -s CONT "$id" >/dev/null 2>&1
    within 15 listens || { docker restart -t 30 "$id" >/dev/null && within 180 listens; } || return
    within 40 called_healthy || true
}

# Closes the site unless somebody else has; waits for the answers that are under way.
close_site() {
    [ "$maintenance" ] && [ ! -e "$closed" ] || return 0
    (umask 022 && mkdir -p "$maintenance" && echo "$word" >"$closed") || die "The site can't be closed: is the disk full?"
    limit=$(($(now) + 10))
    while ss -Hx state established | grep -qF " $sockets/" && [ "$(now)" -lt "$limit" ]; do sleep 0.1; done
}

open_site() { [ "$(cat "$closed" 2>/dev/null)" != "$word" ] || rm -rf "$maintenance"; }

# What a restart would wait for is fetched before.
pull() {
    for image in $(docker compose -f "$compose" config --images); do
        docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image" || exit 1
    done
}

start() {
    docker compose -f "$compose" up -d --quiet-pull --wait --wait-timeout 180 || {
        docker compose -f "$compose" logs --tail 30 --no-color
        die "The database doesn't become healthy."
    }
}

if ! volume_there; then
    [ ! -f "$ready" ] || ! ever_live || die "The volume $volume is gone, though the site was live: fab status says what to do."
    rm -f "$ready"
    mark "$begun" || die "The disk takes no file."
elif [ -f "$begun" ] && [ ! -f "$ready" ] && ! ever_live && ! usable; then
    clear_half_made
fi
as_it_was=
[ -z "$maintenance" ] || trap open_site EXIT
trap 'exit 143' TERM
if [ "$why" ]; then
    pull && close_site && start
elif there && listens && [ -z "$maintenance" ]; then
    as_it_was=yes # Docker, restarted, may not have asked it yet
elif there; then
    listens || wake || die "The database doesn't listen, not even once it was started again."
else
    start
fi
usable || { set_password && as_it_was=; }
usable || die "The database takes no connection from another container, with the password in .env."
identity=$(identity)
[ -f "$ready" ] && [ "$(sed -n 2p "$ready")" = "$identity" ] || mark "$ready" "$identity" || die "The disk takes no file."
rm -f "$begun"
[ -z "$as_it_was" ] || unchanged "it listens"
