#!/bin/sh
# Takes away releases that aren't live: containers, networks, images, folders.
#   discard.sh ROOT SITE ID...
. "$PORTSIDE/remote/lib.sh"
root=$1 site=$2
shift 2
live=$(readlink "$root/current")
for id in "$@"; do
    [ "$live" != "releases/$id" ] || continue
    docker compose -p "$site-$id" down --remove-orphans --timeout 10 >/dev/null 2>&1
    ids=$(docker ps -aq --filter "label=portside.site=$site" --filter "label=portside.release=$id")
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -f $ids >/dev/null
    docker image rm "portside/$site:$id" >/dev/null 2>&1
    rm -rf "${root:?}/releases/$id"
done
exit 0
