#!/bin/sh
# Frees space on a disk that is nearly full: Docker's build cache, images without a name, and the releases that are too many.
#   room.sh ROOT SITE KEEP RESERVE...      KEEP: how many releases stay; empty for a rollback, for which the files RESERVE go
# Answers with what went.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/pruning.sh"
root=$1 site=$2 keep=$3
shift 3
gone=

# A release goes only while nothing is under way that may make it live.
prune_releases() {
    lock=/run/portside/site-$site
    exec 8>"$lock.lock" 9>"$lock.work"
    flock -n 8 && flock -n 9 || return 0
    # shellcheck disable=SC2046
    gone=$(surplus "$root" "$keep" $(spared "$root"))
    # shellcheck disable=SC2086
    [ -z "$gone" ] || sh "$PORTSIDE/remote/discard.sh" "$root" "$site" no $gone
    exec 8>&- 9>&-
}

# First, since all else may need a few bytes.
[ "$keep" ] || rm -f "$@"
cache=$(docker builder prune -af 2>/dev/null | reclaimed)
# Of any of Portside's sites: none of them is a release's.
docker image prune -f --filter label=portside.site >/dev/null
[ -z "$keep" ] || [ ! -d "$root/releases" ] || prune_releases
# shellcheck disable=SC2086
answer "{\"releases\": $(list $gone), \"cache\": \"$cache\"}"
