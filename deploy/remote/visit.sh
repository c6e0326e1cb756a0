#!/bin/sh
# Visit the site through Nginx as a visitor. Answers with why it isn't healthy, or nothing.
#   visit.sh URL SECONDS      SECONDS: time to become healthy. $PORTSIDE_FILES: visit.py and nginx.json.
. "$PORTSIDE/remote/lib.sh"
limit=$(($(now) + $2))
until why=$(python3 -S -B "$PORTSIDE_FILES/visit.py" "$PORTSIDE_FILES/nginx.json" "$1" "$PORTSIDE/request" 2>&1) && why=; do
    [ "$(now)" -lt "$limit" ] || break
    sleep 0.5
done
answer "{\"why\": $(printf %s "$why" | python3 -I -S -c 'import json, sys; print(json.dumps(sys.stdin.read()))')}"
unchanged "it only asks"
