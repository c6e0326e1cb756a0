#!/bin/sh
# Prepare a release in its own image before the switch: collect and compress static files.
# static: the folder to compress, or empty. pool: a folder in which another release may have the same files. before: a command or
# empty.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${manage?}" "${static?}" "${pool?}" "${before?}"

manage "$compose" manage sh -s -- "$manage" "${static:+yes}" "$before" <<'INSIDE' || die "The new release isn't used."
set -e
manage=$1 static=$2 before=$3
[ -z "$static" ] || python "$manage" collectstatic --noinput --verbosity 1 </dev/null
[ -z "$before" ] || sh -c "$before" </dev/null
INSIDE
[ -z "$static" ] || compose_names "$static" || die "The static files can't be linked by their composed names."
[ -z "$static" ] || sh "$PORTSIDE/remote/compress.sh" folder="$static" pool="$pool" || die "The static files can't be compressed."
exit 0
