#!/bin/sh
# Starts the data services and waits until they are healthy; then makes the database's password the one in secrets/.
#   data.sh COMPOSE ROOT VOLUME BEGUN READY      ROOT: the site's folder; VOLUME: the database's
# BEGUN, READY: files that note when the database was first started, and when it was first ready. One that was begun by us
# and never ready holds nothing but what its own first start made of it: where that was cut off, it is made anew.
. "$PORTSIDE/remote/lib.sh"
compose=$1 root=$2 volume=$3 begun=$4 ready=$5

volume_there() { docker volume inspect "$volume" >/dev/null 2>&1; }

ever_live() { [ -L "$root/current" ] || find "$root/releases" -name release.json 2>/dev/null | grep -q .; }

# Whether the site's own database takes a connection from another container. Then it has what its first start makes.
usable() {
    docker compose -f "$compose" exec -T db sh -s >/dev/null 2>&1 <<'INSIDE'
PGPASSWORD=$(cat /portside/secrets/password; echo x)
PGPASSWORD=${PGPASSWORD%x}
export PGPASSWORD
psql -qtA -h "$(hostname -i | cut -d' ' -f1)" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'select 1'
INSIDE
}

# Notes the time in a file that is on the disk from then on, also after a power cut.
mark() { date -u '+%Y-%m-%d %H:%M:%S UTC' >"$1" && sync "$1" "${1%/*}"; }

clear_half_made() {
    echo "The database's first start was cut off ($(cat "$begun")), and no release was ever live: it is made anew."
    docker compose -f "$compose" rm -fsv db && docker volume rm "$volume" || die "The half-made database can't be taken away."
}

if ! volume_there; then
    rm -f "$ready"
    mark "$begun" || die "The disk takes no file."
elif [ -f "$begun" ] && [ ! -f "$ready" ] && ! ever_live && ! usable; then
    clear_half_made
fi
docker compose -f "$compose" up -d --quiet-pull --wait --wait-timeout 180 || {
    docker compose -f "$compose" logs --tail 30 --no-color
    die "The database doesn't become healthy."
}
# A password that was changed since the database was made: from within, PostgreSQL trusts its own socket; from the
# container's address it asks. The trailing x keeps newlines that $() would drop; psql drops one. (Its \getenv came with
# PostgreSQL 15.)
usable || docker compose -f "$compose" exec -T db sh -s <<'INSIDE' || die "The database doesn't let its own owner in."
PGPASSWORD=$(cat /portside/secrets/password; echo x)
PGPASSWORD=${PGPASSWORD%x}
export PGPASSWORD
echo "setting the database's password to the one in .env"
psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v ON_ERROR_STOP=1 <<'SQL'
\set password `printf '%s\n' "$PGPASSWORD"`
\set role `printf '%s\n' "$POSTGRES_USER"`
ALTER ROLE :"role" PASSWORD :'password';
SQL
INSIDE
usable || die "The database takes no connection from another container, with the password in .env."
[ -f "$ready" ] || mark "$ready" || die "The disk takes no file."
rm -f "$begun"
