#!/bin/sh
# Ask Django as ask.sh does, before the new image exists: in a container of the live release's image, with the new code
# mounted over its own. Leaves nothing behind, even if the laptop is gone.
# image: the live release's; seconds: the time limit. The others: see ask.sh.
# $PORTSIDE_FILES: compose.yaml and the files it reads; src, the new code; ask, with ask.py and its imports.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${image?}" "${seconds?}" "${manage?}" "${other?}" "${application?}"
other=$(known "$other" "$PORTSIDE_FILES/ask")
code=$(docker image inspect --format '{{.Config.WorkingDir}}' "$image")
[ -n "$code" ] && [ "$code" != / ] || die "The image doesn't say where its code is."
# shellcheck disable=SC2016
said=$(timeout "$seconds" sh -c '. "$PORTSIDE/remote/lib.sh"; manage "$@"' rehearse "$PORTSIDE_FILES/compose.yaml" \
    --volume "$PORTSIDE_FILES/src:$code:ro" --volume "$PORTSIDE_FILES/ask:/portside/ask:ro" \
    manage python /portside/ask/ask.py "$manage" "$other" "$application" look </dev/null 2>&1)
[ $? -ne 124 ] || die "Django didn't answer within $seconds s."
json=$(printf '%s\n' "$said" | sed -n 's/^portside-answer://p')
[ -n "$json" ] || end_with "${said:-Django exited without an answer.}"
answer "$json"
