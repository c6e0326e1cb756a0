#!/bin/sh
# Keeps the newest releases that were live, and takes the others away; never the live one or the one before it.
#   prune.sh ROOT SITE KEEP
. "$PORTSIDE/remote/lib.sh"
root=$1 site=$2 keep=$3
live=$(readlink "$root/current")
live=${live##*/}
before=$(sed -n 's/.*"previous": *"\([^"]*\)".*/\1/p' "$root/releases/$live/release.json" 2>/dev/null)
kept=$(cd "$root/releases" && find . -mindepth 2 -maxdepth 2 -name release.json -printf '%T@ %h\n' | sort -rn |
    sed 's/.* \.\///' | head -n "$keep")
gone=
for folder in "$root"/releases/*/; do
    id=${folder%/}
    id=${id##*/}
    printf '%s\n' "$kept" "$live" "$before" | grep -qx "$id" || gone="$gone $id"
done
[ -n "$gone" ] || { unchanged "nothing to take away"; exit 0; }
echo "taking away$gone"
# shellcheck disable=SC2086
sh "$PORTSIDE/remote/discard.sh" "$root" "$site" $gone || exit 1
# What a transfer left that a power cut broke off.
find /var/tmp -maxdepth 1 -name 'portside.*' -mmin +1440 -exec rm -rf {} +
# The last dumps made before migrations are as many as the releases.
(cd "$root/backups" 2>/dev/null && find . -name 'before-*.dump' -printf '%T@ %p\n' | sort -rn | sed '1,'"$keep"'d; s/^[^ ]* //' |
    xargs -r rm -f)
exit 0
