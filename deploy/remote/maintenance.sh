#!/bin/sh
# Close a site, or open it again. Nginx checks the files itself at each request, so no reload is needed.
# file: the site's file in a generation. state: closed or open. addresses: those that may still visit. They replace those of
# an earlier call.
. "$PORTSIDE/remote/lib.sh"
list=addresses . "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${file?}" "${state?}"
folder=$root/maintenance
if [ "$state" = open ]; then
    [ -e "$folder" ] || { unchanged; exit 0; }
    rm -rf "$folder"
    exit
fi
grep -qF "$folder/closed" "/etc/nginx/portside/$file" || die "Nginx can't close this site yet. Deploy the site first."
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
