# Dumps of a site's databases: its own, and others that the project created beside it. Needs $data, the data services'
# compose file.
# shellcheck shell=sh

# in_db SCRIPT [WORD...]: runs a shell script in the database's container
in_db() { docker compose --progress quiet -f "${data:?}" exec -T db sh -c "$@"; }

# Print the databases beside the site's own, one a line.
other_databases() {
    # shellcheck disable=SC2016 # for the container's shell
    in_db 'exec psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"' sh "select datname from pg_database
        where datallowconn and not datistemplate and datname not in (current_database(), 'postgres')" </dev/null
}

# Dump the site's own database to NAME.dump, and each other one to NAME.DATABASE.dump, readable by root only. Makes all of
# them or none.
#   dump_databases NAME.dump [OPTION...]      OPTION: an option of pg_dump
dump_databases() {
    dump=$1
    shift
    umask 077
    if names=$(other_databases) && dump_one "$dump.part" "" "$@" && dump_others "$@"; then
        for part in "${dump%.dump}".*part; do mv -f "$part" "${part%.part}" || return; done
    else
        rm -f "${dump%.dump}".*part
        return 1
    fi
}

dump_others() {
    printf '%s\n' "$names" | while IFS= read -r name; do
        [ -n "$name" ] || continue
        dump_one "${dump%.dump}.$(as_a_file "$name").dump.part" "$name" "$@" || exit
    done
}

# Print a database's name as a unique file name.
as_a_file() { printf %s "$1" | python3 -I -S -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.stdin.read(), safe=""))'; }

# dump_one FILE DATABASE [OPTION...]      DATABASE: empty for the site's own
dump_one() {
    file=$1 name=$2
    shift 2
    # shellcheck disable=SC2016
    in_db 'name=$1; shift; exec pg_dump -Fc -U "$POSTGRES_USER" "$@" "${name:-$POSTGRES_DB}"' sh "$name" "$@" </dev/null >"$file"
}
