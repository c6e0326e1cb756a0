# Dumps of a site's databases: its own, and those that its project has made beside it. For scripts that know $data, the data
# services' compose file.
# shellcheck shell=sh

# in_db SCRIPT [WORD...]: a shell script in the database's container
in_db() { docker compose --progress quiet -f "${data:?}" exec -T db sh -c "$@"; }

# The databases beside the site's own, a line each.
other_databases() {
    # shellcheck disable=SC2016 # for the container's shell
    in_db 'exec psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"' sh "select datname from pg_database
        where datallowconn and not datistemplate and datname not in (current_database(), 'postgres')" </dev/null
}

# Makes NAME.dump of the site's own database, and NAME.DATABASE.dump of each other one, readable by root only. Either all of
# them are there afterwards, or none.
#   dump_databases NAME.dump [OPTION...]      OPTION: of pg_dump
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

# A database's name as a file's: no two are the same.
as_a_file() { printf %s "$1" | python3 -I -S -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.stdin.read(), safe=""))'; }

# dump_one FILE DATABASE [OPTION...]      DATABASE: empty for the site's own
dump_one() {
    file=$1 name=$2
    shift 2
    # shellcheck disable=SC2016
    in_db 'name=$1; shift; exec pg_dump -Fc -U "$POSTGRES_USER" "$@" "${name:-$POSTGRES_DB}"' sh "$name" "$@" </dev/null >"$file"
}
