#!/bin/sh
# Asks Django as ask.sh does, before there is a new image: in a container of the live release's, with the new code in place
# of its own. Leaves nothing behind, also when whoever asked is gone.
#   rehearse.sh IMAGE SECONDS MANAGE OTHER APPLICATION      SECONDS: in which it must answer; the others: see ask.sh
# $PORTSIDE_FILES: compose.yaml and what it reads; src, the new code; ask, what ask.py is made of.
. "$PORTSIDE/remote/lib.sh"
other=$(known "$4" "$PORTSIDE_FILES/ask")
code=$(docker image inspect --format '{{.Config.WorkingDir}}' "$1")
[ -n "$code" ] && [ "$code" != / ] || die "The image doesn't say where its code is."
# shellcheck disable=SC2016
said=$(timeout "$2" sh -c '. "$PORTSIDE/remote/lib.sh"; manage "$@"' rehearse "$PORTSIDE_FILES/compose.yaml" \
    --volume "$PORTSIDE_FILES/src:$code:ro" --volume "$PORTSIDE_FILES/ask:/portside/ask:ro" \
    manage python /portside/ask/ask.py "$3" "$other" "$5" look </dev/null 2>&1)
[ $? -ne 124 ] || die "No answer within $2 s."
json=$(printf '%s\n' "$said" | sed -n 's/^portside-answer://p')
[ -n "$json" ] || end_with "${said:-Django ended without an answer.}"
answer "$json"
