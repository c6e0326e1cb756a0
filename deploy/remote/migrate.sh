#!/bin/sh
# Migrates databases with a release's own code, to the end of what it has.
#   migrate.sh COMPOSE MANAGE OPTIONS MARK ALIAS...      OPTIONS: PostgreSQL's, for a database of ours, or empty
# MARK: a file that is there from the beginning to a good end, so that what broke off is known. ALIAS: a database's, or
# default. $PORTSIDE_FILES: forward.py and what it imports.
. "$PORTSIDE/remote/lib.sh"
compose=$1 mark=$4
: >"$mark" || die "The disk takes no file."
manage "$compose" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage sh -s -- "$2" "$3" "$@" <<'INSIDE' || die "A migration failed."
manage=$1
# Only for a database of ours: a pooler in front of another one refuses such options.
[ "${PGHOST:-}" != db ] || export PGOPTIONS="$2 ${PGOPTIONS:-}"
shift 6
for alias in "$@"; do
    python /portside/ask/forward.py "$manage" "$alias" </dev/null || exit
done
INSIDE
rm -f "$mark"
