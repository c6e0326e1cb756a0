#!/bin/sh
# Start the data services and wait until they are healthy. Then set the database's password to the one in secrets/.
# root: the site's folder. volume: the database's volume. why: the reason to recreate a running database, or empty to keep it.
# maintenance: the folder that closes the site meanwhile by a file with the content word. sockets: the live release's folder
# of sockets, by its name inside the containers. These three are empty if the site stays open.
# begun, ready: files that record when the database first started, and when it was first ready. A database that Portside
# started but that was never ready has no data yet: if its first start was interrupted, it is recreated.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${root?}" "${volume?}" "${begun?}" "${ready?}" "${why?}" "${maintenance?}" "${word?}" "${sockets?}"
closed=$maintenance/closed
. "$PORTSIDE/remote/password.sh"

volume_there() { docker volume inspect "$volume" >/dev/null 2>&1; }

ever_live() { [ -L "$root/current" ] || find "$root/releases" -name release.json 2>/dev/null | grep -q .; }

# mark FILE [LINE]: writes the time, and one more line, to a file that survives a power failure
mark() { { date -u '+%Y-%m-%d %H:%M:%S UTC' && echo "${2:-}"; } >"$1" && sync "$1" "${1%/*}"; }

clear_half_made() {
    echo "The database's first start was interrupted ($(cat "$begun")), and no release was ever live. It is recreated."
    docker compose -f "$compose" rm -fsv db && docker volume rm "$volume" || die "The unfinished database can't be removed."
}

# Print PostgreSQL's identifier of the data: facts.sh recognizes another database by it.
identity() {
    # shellcheck disable=SC2016 # for the container's shell
    docker compose -f "$compose" exec -T db sh -c 'exec psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"' sh \
        'select system_identifier from pg_control_system()' </dev/null 2>/dev/null
}

container() { docker compose -f "$compose" ps -aq db 2>/dev/null; }

# Return whether the database's container runs or is paused.
there() { docker inspect --format '{{.State.Status}}' "$(container)" 2>/dev/null | grep -qxE 'running|paused'; }

# Over TCP, like its health check.
listens() {
    # shellcheck disable=SC2016 # for the container's shell
    docker compose -f "$compose" exec -T db sh -c 'pg_isready -q -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"' \
        </dev/null >/dev/null 2>&1
}

# within SECONDS COMMAND: repeats the command until it succeeds
within() {
    limit=$(($(now) + $1))
    until "$2"; do
        [ "$(now)" -lt "$limit" ] || return 1
        sleep 0.2
    done
}

# Docker checks every half minute, and until then reports the previous state.
called_healthy() { docker inspect --format '{{.State.Health.Status}}' "$id" | grep -qx healthy; }

# Resume a database that was stopped by a signal or paused; restart one that hangs.
wake() {
    id=$(container)
    docker unpause "$id" >/dev/null 2>&1
    docker kill -s CONT "$id" >/dev/null 2>&1
    within 15 listens || { docker restart -t 30 "$id" >/dev/null && within 180 listens; } || return
    within 40 called_healthy || true
}

# Close the site unless it is closed already, and wait for responses in progress.
close_site() {
    [ "$maintenance" ] && [ ! -e "$closed" ] || return 0
    (umask 022 && mkdir -p "$maintenance" && echo "$word" >"$closed") || die "The site can't be closed: is the disk full?"
    limit=$(($(now) + 10))
    while ss -Hx state established | grep -qF " $sockets/" && [ "$(now)" -lt "$limit" ]; do sleep 0.1; done
}

open_site() { [ "$(cat "$closed" 2>/dev/null)" != "$word" ] || rm -rf "$maintenance"; }

# Pull what a restart would have to wait for.
pull() {
    for image in $(docker compose -f "$compose" config --images); do
        docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image" || exit 1
    done
}

start() {
    docker compose -f "$compose" up -d --quiet-pull --wait --wait-timeout 180 || {
        docker compose -f "$compose" logs --tail 30 --no-color
        die "The database didn't become healthy."
    }
}

if ! volume_there; then
    [ ! -f "$ready" ] || ! ever_live || die "The volume $volume is gone, though the site was live: fab status shows what to do."
    rm -f "$ready"
    mark "$begun" || die "No file can be written: is the disk full?"
elif [ -f "$begun" ] && [ ! -f "$ready" ] && ! ever_live && ! usable; then
    clear_half_made
fi
as_it_was=
[ -z "$maintenance" ] || trap open_site EXIT
trap 'exit 143' TERM
if [ "$why" ]; then
    pull && close_site && start
elif there && listens && [ -z "$maintenance" ]; then
    as_it_was=yes # after its own restart, Docker may not have checked it yet
elif there; then
    listens || wake || die "The database doesn't listen, even after a restart."
else
    start
fi
usable || { set_password && as_it_was=; }
usable || die "The database refuses a connection from another container with the password in .env."
identity=$(identity)
[ -f "$ready" ] && [ "$(sed -n 2p "$ready")" = "$identity" ] || mark "$ready" "$identity" || die "No file can be written: is the disk full?"
rm -f "$begun"
[ -z "$as_it_was" ] || unchanged "it listens"
