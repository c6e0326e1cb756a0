#!/bin/sh
# Answer with the environment file of the last deploy, which only root can read. Read-only.
#   kept.sh FILE
. "$PORTSIDE/remote/lib.sh"
if [ -f "$1" ]; then
    answer "\"$(cat "$1")\""
    unchanged "it only looks"
    exit 0
fi
sites=$(find "$(dirname "$1")" -type f -printf '%f\n' 2>/dev/null | sort | paste -sd ' ')
die "The server has no .env for a site of that name. It has one for: ${sites:-none}"
