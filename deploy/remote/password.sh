# The password of a site's database. Needs $compose, the data services' compose file.
# shellcheck shell=sh
# shellcheck disable=SC2154 # $compose

# Return whether the site's own database accepts a connection from another container. Then its first start is complete.
usable() {
    docker compose -f "$compose" exec -T db sh -s >/dev/null 2>&1 <<'INSIDE'
PGPASSWORD=$(cat /portside/secrets/password; echo x)
PGPASSWORD=${PGPASSWORD%x}
export PGPASSWORD
psql -qtA -h "$(hostname -i | cut -d' ' -f1)" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'select 1'
INSIDE
}

# Set it to the one in secrets/. PostgreSQL trusts its own socket inside the container, and asks for a password from other
# addresses. The trailing x keeps newlines that $() would drop; psql drops one. (psql has \getenv only since PostgreSQL 15.)
set_password() {
    docker compose -f "$compose" exec -T db sh -s <<'INSIDE' || die "The database refuses its own owner."
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
