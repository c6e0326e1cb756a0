#!/bin/sh
# Visit the site through Nginx as a visitor. Answers with why it isn't healthy, or nothing.
# seconds: time to become healthy. $PORTSIDE_FILES: visit.py and nginx.json.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${url?}" "${seconds?}"
limit=$(($(now) + seconds))
until why=$(python3 -S -B "$PORTSIDE_FILES/visit.py" "$PORTSIDE_FILES/nginx.json" "$url" "$PORTSIDE/request" 2>&1) && why=; do
    [ "$(now)" -lt "$limit" ] || break
    sleep 0.5
done
answer "{\"why\": $(printf %s "$why" | python3 -I -S -c 'import json, sys; print(json.dumps(sys.stdin.read()))')}"
unchanged "it only asks"
