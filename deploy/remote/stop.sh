#!/bin/sh
# Stops the web containers of releases; they stay. A process may still be at its last job.
#   stop.sh SITE ID...
site=$1
shift
for id in "$@"; do
    docker ps -q --filter "label=portside.site=$site" --filter "label=portside.release=$id" --filter label=portside.role=web
done | xargs -r docker stop -t 40 >/dev/null
