#!/bin/sh
# Answers with the environment file of the last deploy, as it is kept for root alone. It only reads.
#   kept.sh FILE
. "$PORTSIDE/remote/lib.sh"
if [ -f "$1" ]; then
    answer "\"$(cat "$1")\""
    unchanged "it only looks"
    exit 0
fi
sites=$(find "$(dirname "$1")" -type f -printf '%f\n' 2>/dev/null | sort | paste -sd ' ')
die "No .env is kept here for a site of that name. Sites that have one: ${sites:-none}"
