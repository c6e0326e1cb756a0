#!/bin/sh
# Closes a site, or opens it again: Nginx looks at the files itself, so there is nothing to reload.
#   maintenance.sh ROOT FILE STATE ADDRESS...      FILE: the site's, inside a generation; STATE: closed or open
# ADDRESS: who comes in all the same; those of an earlier time don't any more.
. "$PORTSIDE/remote/lib.sh"
folder=$1/maintenance file=$2 state=$3
shift 3
if [ "$state" = open ]; then
    [ -e "$folder" ] || { unchanged; exit 0; }
    rm -rf "$folder"
    exit
fi
grep -qF "$folder/closed" "/etc/nginx/portside/$file" || die "Nginx doesn't know yet how to close this site: deploy it first."
if [ -f "$folder/closed" ] && [ "$(ls "$folder/allowed")" = "$([ "$#" -eq 0 ] || printf '%s\n' "$@" | LC_ALL=C sort)" ]; then
    unchanged
    exit 0
fi
umask 022
rm -rf "$folder.new" && mkdir -p "$folder.new/allowed" || exit 1
for address in "$@"; do
    : >"$folder.new/allowed/$address" || exit 1
done
: >"$folder.new/closed" && rm -rf "$folder" && mv "$folder.new" "$folder"
