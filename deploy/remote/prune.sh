#!/bin/sh
# Keep the newest releases that were live, and remove the others; never the live one or the one before it.
# cache: the limit of Docker's build cache, or empty for a site that builds nothing. reserves: files that reserve space for a
# rollback on a full disk. Answers with the removed releases, the number of removed dumps, and the size freed in the cache.
. "$PORTSIDE/remote/lib.sh"
list=reserves . "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${site?}" "${keep?}" "${cache?}"
. "$PORTSIDE/remote/pruning.sh"
# shellcheck disable=SC2046
gone=$(surplus "$root" "$keep" $(spared "$root") | paste -sd " ")
# Remove what an interrupted transfer left at a power failure.
find /var/tmp /run -maxdepth 1 -name 'portside.*' -mmin +1440 -exec rm -rf {} +
freed=$([ -z "$cache" ] || bound_cache "$cache")
# An image that another one was built upon (DEPLOY_FILES) has lost its name.
docker image prune -f --filter "label=portside.site=$site" >/dev/null
# Keep as many dumps made before migrations as releases. Dumps of other databases go with the main one.
dumps=$(cd "$root/backups" 2>/dev/null && find . -regex '\./before-[^.]*\.dump' -printf '%T@ %f\n' | sort -rn |
    sed '1,'"$keep"'d; s/^[^ ]* //' | while read -r name; do rm -f "$name" "${name%.dump}".*.dump && echo "$name"; done)
# Remove layers that no kept release uses, and unfinished transfers.
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
[ "$gone$dumps$freed" ] || unchanged "nothing to remove"
[ -n "$gone" ] || exit 0
# shellcheck disable=SC2046,SC2086
sh "$PORTSIDE/remote/discard.sh" root="$root" site="$site" first=no $(printf 'ids=%s ' $gone) || exit 1
prune_layers
# The pool links each file of only one release. Link those of the remaining releases now, then remove files without any other
# link: no release has them.
for folder in "$root"/releases/*/; do
    id=${folder%/}
    [ ! -f "${folder}release.json" ] || pool "$root" "${id##*/}" || exit 1
done
[ ! -d "$root/static-pool" ] || find "$root/static-pool" -type f -links 1 -delete
