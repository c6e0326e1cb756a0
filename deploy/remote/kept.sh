#!/bin/sh
# Answer with the environment file of the last deploy, which only root can read. Read-only.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${file?}"
if [ -f "$file" ]; then
    answer "\"$(cat "$file")\""
    unchanged "it only looks"
    exit 0
fi
sites=$(find "$(dirname "$file")" -type f -printf '%f\n' 2>/dev/null | sort | paste -sd ' ')
die "The server has no .env for a site of that name. It has one for: ${sites:-none}"
