#!/bin/sh
# Prepare a release in its own image before the switch: collect and compress static files.
#   prepare.sh COMPOSE MANAGE STATIC POOL BEFORE
# STATIC: the folder to compress, or empty. POOL: a folder in which another release may have the same files. BEFORE: a command or
# empty.
. "$PORTSIDE/remote/lib.sh"
static=$3 pool=$4

manage "$1" manage sh -s -- "$2" "${static:+yes}" "$5" <<'INSIDE' || die "The new release isn't used."
set -e
manage=$1 static=$2 before=$3
[ -z "$static" ] || python "$manage" collectstatic --noinput --verbosity 1 </dev/null
[ -z "$before" ] || sh -c "$before" </dev/null
INSIDE
[ -z "$static" ] || compose_names "$static" || die "The static files can't be linked by their composed names."
[ -z "$static" ] || sh "$PORTSIDE/remote/compress.sh" "$static" "$pool" || die "The static files can't be compressed."
exit 0
