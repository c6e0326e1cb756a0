#!/bin/sh
# Prepares a release with its own image, before anything is switched: checks, collected and compressed static files,
# migrations after a dump. The database is changed last, so that nothing after it can fail.
#   prepare.sh COMPOSE MANAGE STATIC PENDING BEFORE DATA DUMP
# STATIC: the folder to compress, or empty for none; PENDING: yes where there are migrations; BEFORE: a command or empty;
# DATA: the data services' compose file where DUMP is to be made first, else empty.
. "$PORTSIDE/remote/lib.sh"
compose=$1 manage=$2 static=$3 pending=$4 before=$5 data=$6 dump=$7

inside() {
    docker compose --progress quiet -f "$compose" run --rm --no-deps -T manage sh -s -- "$@" || die "The new release isn't used."
}

dump() {
    echo "dumping the database to $dump"
    mkdir -p -m 700 "$(dirname "$dump")"
    (umask 077 && docker compose -f "$data" exec -T db sh -c 'exec pg_dump -Fc -U "$POSTGRES_USER" "$POSTGRES_DB"' \
        </dev/null >"$dump") || { rm -f "$dump"; die "The database can't be dumped, so it isn't migrated."; }
}

# A .gz beside each text file, which Nginx sends instead of compressing anew for every visitor.
compress() {
    find "$static" -type f -size +1k \( -name '*.css' -o -name '*.js' -o -name '*.mjs' -o -name '*.svg' -o -name '*.json' \
        -o -name '*.html' -o -name '*.xml' -o -name '*.txt' -o -name '*.map' -o -name '*.wasm' -o -name '*.ttf' \
        -o -name '*.otf' -o -name '*.webmanifest' \) -print0 | xargs -0 -r -n 16 -P "$(nproc)" gzip -9 -n -k -f
    chown -R root:root "$static" && chmod -R u=rwX,go=rX "$static"
}

inside "$manage" "${static:+yes}" "$before" <<'INSIDE'
set -e
manage=$1 static=$2 before=$3
python "$manage" check --deploy </dev/null
[ -z "$static" ] || python "$manage" collectstatic --noinput --verbosity 1 </dev/null
[ -z "$before" ] || sh -c "$before" </dev/null
INSIDE
[ -z "$static" ] || compress || die "The static files can't be compressed."
[ -z "$data" ] || dump
[ "$pending" != yes ] || inside "$manage" <<'INSIDE'
# A migration that waits for a lock would make every visitor behind it wait too: it gives up instead.
# Only for a database of ours: a pooler in front of another one refuses such options.
[ "${PGHOST:-}" != db ] || export PGOPTIONS="-c lock_timeout=10s ${PGOPTIONS:-}"
exec python "$1" migrate --noinput </dev/null
INSIDE
exit 0
