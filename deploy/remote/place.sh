#!/bin/sh
# Makes the folder of a static site's release, of files that came along and of those that the live release has too.
#   place.sh FOLDER LIVE      LIVE: the live release's folder
# $PORTSIDE_FILES: new/ (the files), same (paths of the others, a line each).
. "$PORTSIDE/remote/lib.sh"
folder=$1 live=$2
mkdir -p "$folder"
# A new file's time is now and the others keep theirs: by time and length Nginx tells whether what a visitor has is still good.
[ ! -d "$PORTSIDE_FILES/new" ] || cp -R "$PORTSIDE_FILES/new/." "$folder/" || die "The files can't be written."
if [ -s "$PORTSIDE_FILES/same" ]; then
    (cd "$live" && tr '\n' '\0' <"$PORTSIDE_FILES/same" | link "$folder") ||
        die "The files of the live release can't be linked."
fi
compose_names "$folder" || die "The files can't be linked by their composed names."
sh "$PORTSIDE/remote/compress.sh" "$folder" "$live" || die "The files can't be compressed."
