#!/bin/sh
# Stops a release's containers; they stay.
#   stop.sh SITE ID
ids=$(docker ps -q --filter "label=portside.site=$1" --filter "label=portside.release=$2")
# shellcheck disable=SC2086
[ -z "$ids" ] || docker stop -t 40 $ids >/dev/null
