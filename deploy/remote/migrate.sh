#!/bin/sh
# Migrates the database with a release's own code: forward to its end, or back.
#   migrate.sh COMPOSE MANAGE OPTIONS [APP NAME]...      OPTIONS: PostgreSQL's, for a database of ours, or empty
# APP, NAME: the migration an app is taken back to, or zero; without them all are applied.
. "$PORTSIDE/remote/lib.sh"
compose=$1
shift
manage "$compose" manage sh -s -- "$@" <<'INSIDE' || die "A migration failed."
manage=$1
# Only for a database of ours: a pooler in front of another one refuses such options.
[ "${PGHOST:-}" != db ] || export PGOPTIONS="$2 ${PGOPTIONS:-}"
shift 2
[ "$#" -gt 0 ] || exec python "$manage" migrate --noinput </dev/null
while [ "$#" -gt 0 ]; do
    python "$manage" migrate --noinput "$1" "$2" </dev/null || exit
    shift 2
done
INSIDE
