#!/bin/bash
# The official image's entry point, reduced to what Portside and its users need. In an empty PGDATA it creates the cluster,
# the user and the database and runs /docker-entrypoint-initdb.d. Then it becomes the server.
# Supports POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS (each also as NAME_FILE), POSTGRES_INITDB_WALDIR
# and POSTGRES_HOST_AUTH_METHOD. During the initialisation the server listens only on its unix socket, so that clients don't
# take it for ready.
set -eu

fail() {
    echo "$*" >&2
    exit 1
}

# value NAME DEFAULT: NAME from the environment, or from the file NAME_FILE names.
value() {
    local name=$1 file="${1}_FILE"
    if [ -n "${!name-}" ] && [ -n "${!file-}" ]; then
        fail "error: both $name and $file are set"
    elif [ -n "${!file-}" ]; then
        cat "${!file}"
    else
        printf %s "${!name:-$2}"
    fi
}

own_folders() {
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA"
    find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
    chown postgres:postgres /var/run/postgresql
    chmod 3777 /var/run/postgresql
}

make_cluster() {
    local extra=()
    eval "extra=($(value POSTGRES_INITDB_ARGS ''))"
    [ -z "${POSTGRES_INITDB_WALDIR-}" ] || extra+=(--waldir "$POSTGRES_INITDB_WALDIR")
    initdb --username="$user" --pwfile=<(printf '%s\n' "$password") --auth-local=trust --auth-host=trust "${extra[@]}"
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

sql() {
    psql --no-psqlrc -v ON_ERROR_STOP=1 --username "$user" --no-password "$@"
}

make_database() {
    [ "$database" != postgres ] || return 0
    sql --dbname postgres --set db="$database" <<<'CREATE DATABASE :"db";'
}

run_scripts() {
    local file
    # shellcheck disable=SC1090
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) sql --dbname "$database" -f "$file" ;;
            *.sql.gz) gunzip -c "$file" | sql --dbname "$database" ;;
            */\*) ;;
            *) echo "ignoring $file" ;;
        esac
    done
}

initialise() {
    [ -n "$password" ] || [ "${POSTGRES_HOST_AUTH_METHOD-}" = trust ] ||
        fail "Error: Database is uninitialized and superuser password is not specified. Set POSTGRES_PASSWORD."
    make_cluster
    export POSTGRES_USER="$user" POSTGRES_DB="$database" PGUSER="$user" PGDATABASE="$database"
    NOTIFY_SOCKET='' pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses='' -p 5432"
    make_database
    run_scripts
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGUSER PGDATABASE
    echo
    echo 'PostgreSQL init process complete; ready for start up.'
}

case ${1-} in -*) set -- postgres "$@" ;; esac
[ "${1-}" = postgres ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    own_folders
    # Files that only root may read are read before root is dropped, as in the official image.
    if [ -n "${POSTGRES_PASSWORD_FILE-}" ]; then
        POSTGRES_PASSWORD=$(value POSTGRES_PASSWORD '')
        export POSTGRES_PASSWORD
        unset POSTGRES_PASSWORD_FILE
    fi
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=$(value POSTGRES_USER postgres)
    password=$(value POSTGRES_PASSWORD '')
    database=$(value POSTGRES_DB "$user")
    initialise
fi
exec "$@"
