#!/bin/sh
# Free space on a nearly full disk: remove Docker's build cache, images without a name, and surplus releases.
# keep: how many releases stay; empty for a rollback, which removes the files reserves.
# Answers with what was removed.
. "$PORTSIDE/remote/lib.sh"
list=reserves . "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${site?}" "${keep?}"
. "$PORTSIDE/remote/pruning.sh"
gone=

# Remove releases only while no other run may make one of them live.
prune_releases() {
    lock=/run/portside/site-$site
    exec 8>"$lock.lock" 9>"$lock.work"
    flock -n 8 && flock -n 9 || return 0
    # shellcheck disable=SC2046
    gone=$(surplus "$root" "$keep" $(spared "$root"))
    # shellcheck disable=SC2046,SC2086
    [ -z "$gone" ] || sh "$PORTSIDE/remote/discard.sh" root="$root" site="$site" first=no $(printf 'ids=%s ' $gone)
    exec 8>&- 9>&-
}

# First, since all the rest may need a few bytes.
[ "$keep" ] || rm -f "$@"
cache=$(docker builder prune -af 2>/dev/null | reclaimed)
# For all of Portside's sites: no release uses an image without a name.
docker image prune -f --filter label=portside.site >/dev/null
[ -z "$keep" ] || [ ! -d "$root/releases" ] || prune_releases
# shellcheck disable=SC2086
answer "{\"releases\": $(list $gone), \"cache\": \"$cache\"}"
