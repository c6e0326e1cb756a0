#!/bin/sh
# Starts the data services and waits until they are healthy; then makes the database's password the one in secrets/.
#   data.sh COMPOSE
. "$PORTSIDE/remote/lib.sh"
docker compose -f "$1" up -d --quiet-pull --wait --wait-timeout 180 || {
    docker compose -f "$1" logs --tail 30 --no-color
    die "The database doesn't become healthy."
}
# A password that was changed since the database was made: from within, PostgreSQL trusts its own socket; from the
# container's address it asks. The trailing x keeps newlines that $() would drop; psql drops one. (Its \getenv came with
# PostgreSQL 15.)
docker compose -f "$1" exec -T db sh -s <<'INSIDE'
PGPASSWORD=$(cat /portside/secrets/password; echo x)
PGPASSWORD=${PGPASSWORD%x}
export PGPASSWORD
address=$(hostname -i | cut -d' ' -f1)
psql -qtA -h "$address" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'select 1' >/dev/null 2>&1 && exit 0
echo "setting the database's password to the one in .env"
psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v ON_ERROR_STOP=1 <<'SQL'
\set password `printf '%s\n' "$PGPASSWORD"`
\set role `printf '%s\n' "$POSTGRES_USER"`
ALTER ROLE :"role" PASSWORD :'password';
SQL
INSIDE
