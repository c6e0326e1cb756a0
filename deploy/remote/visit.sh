#!/bin/sh
# Visits the site through Nginx as a visitor comes. Answers with why it isn't well, or nothing.
#   visit.sh URL      $PORTSIDE_FILES: visit.py and nginx.json
. "$PORTSIDE/remote/lib.sh"
why=$(python3 -S -B "$PORTSIDE_FILES/visit.py" "$PORTSIDE_FILES/nginx.json" "$1" "$PORTSIDE/request" 2>&1) && why=
answer "{\"why\": $(printf %s "$why" | python3 -I -S -c 'import json, sys; print(json.dumps(sys.stdin.read()))')}"
unchanged "it only asks"
