#!/bin/sh
# Create a site's network.
#   network.sh NAME SITE
. "$PORTSIDE/remote/lib.sh"
if docker network inspect "$1" >/dev/null 2>&1; then
    unchanged "it exists"
else
    docker network create --label "portside.site=$2" "$1"
fi
