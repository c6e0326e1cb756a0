#!/bin/sh
# Remove releases that aren't live: containers, networks, images, folders. $PORTSIDE_FILES: event, for the history.
# first: yes if no release was live before, so that none is now.
. "$PORTSIDE/remote/lib.sh"
list=ids . "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${site?}" "${first?}"
[ "$first" != yes ] || rm -f "$root/current"
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
note "$root"
exit 0
