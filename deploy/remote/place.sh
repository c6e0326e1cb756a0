#!/bin/sh
# Create the folder of a static site's release, from files that were sent along and files of the live release.
# live: the live release's folder.
# $PORTSIDE_FILES: new/ (the files), same (paths of the others, one a line).
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${folder?}" "${live?}"
mkdir -p "$folder"
# A new file gets the present time; a linked one keeps its own. Nginx compares time and length with a visitor's cached copy.
[ ! -d "$PORTSIDE_FILES/new" ] || cp -R "$PORTSIDE_FILES/new/." "$folder/" || die "The files can't be written."
if [ -s "$PORTSIDE_FILES/same" ]; then
    (cd "$live" && tr '\n' '\0' <"$PORTSIDE_FILES/same" | link "$folder") ||
        die "The files of the live release can't be linked."
fi
compose_names "$folder" || die "The files can't be linked by their composed names."
sh "$PORTSIDE/remote/compress.sh" folder="$folder" pool="$live" || die "The files can't be compressed."
