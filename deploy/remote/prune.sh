#!/bin/sh
# Keeps the newest releases that were live, and takes the others away; never the live one or the one before it.
#   prune.sh ROOT SITE KEEP CACHE RESERVE...
# CACHE: how large Docker's build cache may be, or empty for a site that builds nothing; RESERVE: a file that holds some space
# for a rollback on a full disk. Answers with the releases that went, the number of dumps, and what of the cache.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/pruning.sh"
root=$1 site=$2 keep=$3 cache=$4
shift 4
# shellcheck disable=SC2046
gone=$(surplus "$root" "$keep" $(spared "$root") | paste -sd " ")
# What a transfer left that a power cut broke off.
find /var/tmp /run -maxdepth 1 -name 'portside.*' -mmin +1440 -exec rm -rf {} +
freed=$([ -z "$cache" ] || bound_cache "$cache")
# What an image was built upon (DEPLOY_FILES) has lost its name to it.
docker image prune -f --filter "label=portside.site=$site" >/dev/null
# The last dumps made before migrations are as many as the releases; of each, those of the other databases go along.
dumps=$(cd "$root/backups" 2>/dev/null && find . -regex '\./before-[^.]*\.dump' -printf '%T@ %f\n' | sort -rn |
    sed '1,'"$keep"'d; s/^[^ ]* //' | while read -r name; do rm -f "$name" "${name%.dump}".*.dump && echo "$name"; done)
# Layers that are no kept release's. What is left of a transfer is of no use any more.
prune_layers() {
    [ ! -d "$root/layers" ] || (cd "$root/layers" && find . -type f -printf '%P\n' |
        grep -vxF "$(cat "$root"/releases/*/layers 2>/dev/null)" | xargs -r rm -f)
}
prune_layers
for reserve in "$@"; do
    [ ! -d "${reserve%/*}" ] || [ -s "$reserve" ] || fallocate -l 16M "$reserve" 2>/dev/null || rm -f "$reserve"
done
# shellcheck disable=SC2086
answer "{\"releases\": $(list $gone), \"dumps\": $(printf '%s' "$dumps" | grep -c .), \"cache\": \"$freed\"}"
[ "$gone$dumps$freed" ] || unchanged "nothing to take away"
[ -n "$gone" ] || exit 0
# shellcheck disable=SC2086
sh "$PORTSIDE/remote/discard.sh" "$root" "$site" no $gone || exit 1
prune_layers
# Of several releases with the same file the pool has but one's: the others' are linked now, and what has no other link
# is no release's any more.
for folder in "$root"/releases/*/; do
    id=${folder%/}
    [ ! -f "${folder}release.json" ] || pool "$root" "${id##*/}" || exit 1
done
[ ! -d "$root/static-pool" ] || find "$root/static-pool" -type f -links 1 -delete
