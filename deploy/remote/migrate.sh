#!/bin/sh
# Migrate databases with a release's own code, to its last migrations.
# options: of PostgreSQL, for Portside's own database, or empty. mark: a file that exists from the beginning to a successful
# end, to detect an interruption. aliases: the databases' names in Django's settings.
# $PORTSIDE_FILES: forward.py and its imports.
. "$PORTSIDE/remote/lib.sh"
list=aliases . "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${manage?}" "${options?}" "${mark?}"
: >"$mark" || die "No file can be written: is the disk full?"
manage "$compose" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage sh -s -- "$manage" "$options" "$@" <<'INSIDE' || die "A migration failed."
manage=$1
# Only for Portside's own database: a connection pooler in front of another one refuses such options.
[ "${PGHOST:-}" != db ] || export PGOPTIONS="$2 ${PGOPTIONS:-}"
shift 2
for alias in "$@"; do
    python /portside/ask/forward.py "$manage" "$alias" </dev/null || exit
done
INSIDE
rm -f "$mark"
