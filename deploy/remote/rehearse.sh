#!/bin/sh
# Asks Django as ask.sh does, before there is a new image: in a container of the live release's, with the new code in place
# of its own. Leaves nothing behind.
#   rehearse.sh IMAGE MANAGE OTHER      MANAGE, OTHER: see ask.sh
# $PORTSIDE_FILES: compose.yaml and what it reads; src, the new code; ask, what ask.py is made of.
. "$PORTSIDE/remote/lib.sh"
code=$(docker image inspect --format '{{.Config.WorkingDir}}' "$1")
[ -n "$code" ] && [ "$code" != / ] || die "The image doesn't say where its code is."
said=$(manage "$PORTSIDE_FILES/compose.yaml" --volume "$PORTSIDE_FILES/src:$code:ro" --volume "$PORTSIDE_FILES/ask:/portside/ask:ro" \
    manage python /portside/ask/ask.py "$2" "$3" </dev/null 2>&1)
json=$(printf '%s\n' "$said" | sed -n 's/^portside-answer://p')
[ -n "$json" ] || { printf '%s\n' "$said"; die "Django can't be asked yet."; }
answer "$json"
