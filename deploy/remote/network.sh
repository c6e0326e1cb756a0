#!/bin/sh
# Create a site's network.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${name?}" "${site?}"
if docker network inspect "$name" >/dev/null 2>&1; then
    unchanged "it exists"
else
    docker network create --label "portside.site=$site" "$name"
fi
