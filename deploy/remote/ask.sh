#!/bin/sh
# Asks the Django project in a release's image what it needs.
#   ask.sh COMPOSE MANAGE OTHER APPLICATION [check]
# MANAGE: the folder of manage.py, from the image's working one; OTHER: the file that says what another release knows of the
# database, or empty; the others: see ask.py
# $PORTSIDE_FILES: ask.py and what it imports; other.json, for where an older version of Portside made no such file.
# Answers with what ask.py says, also where the project doesn't start; and notes what this release knows beside its compose
# file.
. "$PORTSIDE/remote/lib.sh"
compose=$1
other=$(known "$3" "$PORTSIDE_FILES")
said=$(manage "$compose" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage python /portside/ask/ask.py "$2" "$other" "$4" "${5:-}" </dev/null 2>&1)
printf '%s\n' "$said" | grep -v -e '^portside-answer:' -e '^portside-knows:' -e '^$'
json=$(printf '%s\n' "$said" | sed -n 's/^portside-answer://p')
[ -n "$json" ] || exit 1 # and above is why
note_knowledge "$compose" "$said"
answer "$json"
unchanged "it only asks"
