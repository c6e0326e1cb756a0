#!/bin/sh
# Asks the Django project in a release's image what it needs.
#   ask.sh COMPOSE MANAGE OTHER [check]      MANAGE: the folder of manage.py, from the image's working one; else see ask.py
# $PORTSIDE_FILES: ask.py and what it imports. Answers with what ask.py says.
. "$PORTSIDE/remote/lib.sh"
said=$(manage "$1" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage python /portside/ask/ask.py "$2" "$3" "${4:-}" </dev/null 2>&1)
failed=$?
printf '%s\n' "$said" | grep -v -e '^portside-answer:' -e '^$'
json=$(printf '%s\n' "$said" | sed -n 's/^portside-answer://p')
[ "$failed" -eq 0 ] || [ -n "$json" ] ||
    die "Django can't be started with these settings. If manage.py names others than it should, set DJANGO_SETTINGS_MODULE."
[ "$failed" -eq 0 ] || die "Django's checks found errors, so the new release isn't used."
[ -n "$json" ] || die "Django ended without an answer."
answer "$json"
unchanged "it only asks"
