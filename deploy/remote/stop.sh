#!/bin/sh
# Stops the containers of releases; they stay.
#   stop.sh SITE ID...
site=$1
shift
for id in "$@"; do
    docker ps -q --filter "label=portside.site=$site" --filter "label=portside.release=$id"
done | xargs -r docker stop -t 40 >/dev/null
