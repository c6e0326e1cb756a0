#!/bin/sh
# Reverse, with a release's own code, the migrations that another release doesn't know.
# folder: of manage.py. other: as in ask.sh. only: a JSON list of the migrations that may be reversed, or empty for all.
# options: as in migrate.sh.
# $PORTSIDE_FILES: back.py and its imports; other.json, as in ask.sh. Answers with what was reversed and what is still
# applied.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${folder?}" "${options?}" "${other?}" "${only?}"
other=$(known "$other" "$PORTSIDE_FILES")
manage "$compose" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage sh -s -- "$folder" "$options" "$other" "$only" >"$PORTSIDE/said" 2>&1 <<'INSIDE'
[ "${PGHOST:-}" != db ] || export PGOPTIONS="$2 ${PGOPTIONS:-}"
exec python /portside/ask/back.py "$1" "$3" "$4" </dev/null
INSIDE
code=$?
grep -v -e '^portside-answer:' -e '^$' "$PORTSIDE/said"
json=$(sed -n 's/^portside-answer://p' "$PORTSIDE/said")
[ -z "$json" ] || answer "$json"
exit "$code"
