# The password of a site's database. For scripts that know $compose, the data services' compose file.
# shellcheck shell=sh
# shellcheck disable=SC2154 # $compose

# Whether the site's own database takes a connection from another container. Then it has what its first start makes.
usable() {
    docker compose -f "$compose" exec -T db sh -s >/dev/null 2>&1 <<'INSIDE'
PGPASSWORD=$(cat /portside/secrets/password; echo x)
PGPASSWORD=${PGPASSWORD%x}
export PGPASSWORD
psql -qtA -h "$(hostname -i | cut -d' ' -f1)" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'select 1'
INSIDE
}

# Makes it the one in secrets/: from within, PostgreSQL trusts its own socket; from the container's address it asks. The
# trailing x keeps newlines that $() would drop; psql drops one. (Its \getenv came with PostgreSQL 15.)
set_password() {
    docker compose -f "$compose" exec -T db sh -s <<'INSIDE' || die "The database doesn't let its own owner in."
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
}
