#!/bin/sh
# Asks the Django project in a release's image what it needs.
#   ask.sh COMPOSE MANAGE OTHER APPLICATION [check]
# MANAGE: the folder of manage.py, from the image's working one; the others: see ask.py
# $PORTSIDE_FILES: ask.py and what it imports. Answers with what ask.py says, also where the project doesn't start.
. "$PORTSIDE/remote/lib.sh"
said=$(manage "$1" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage python /portside/ask/ask.py "$2" "$3" "$4" "${5:-}" </dev/null 2>&1)
printf '%s\n' "$said" | grep -v -e '^portside-answer:' -e '^$'
json=$(printf '%s\n' "$said" | sed -n 's/^portside-answer://p')
[ -n "$json" ] || exit 1 # and above is why
answer "$json"
unchanged "it only asks"
