#!/bin/sh
# Asks the Django project in a release's image what it needs.
#   ask.sh COMPOSE MANAGE      MANAGE: the folder of manage.py below the image's working one
# $PORTSIDE_FILES: ask.py. Answers with what ask.py says.
. "$PORTSIDE/remote/lib.sh"
said=$(docker compose --progress quiet -f "$1" run --rm --no-deps -T manage python - "$2" <"$PORTSIDE_FILES/ask.py" 2>&1) || {
    printf '%s\n' "$said"
    die "Django can't be started with these settings. If manage.py names others than it should, set DJANGO_SETTINGS_MODULE."
}
printf '%s\n' "$said" | grep -v '^portside-answer:'
json=$(printf '%s\n' "$said" | sed -n 's/^portside-answer://p')
[ -n "$json" ] || die "Django ended without an answer."
answer "$json"
