#!/bin/sh
# Fill the folder that an image is built from: with files that were sent along, and with those left from the last build.
# $PORTSIDE_FILES: context/ (the files), same (paths of the other files, one a line), programs (those that are executable).
# If it is interrupted, the next deploy compares all files by their checksums.
. "$PORTSIDE/remote/arguments.sh"
: "${folder?}"
set -e
mkdir -p -m 700 "$folder"
cd "$folder"
find . ! -type d -printf '%P\0' | grep -zvxFf "$PORTSIDE_FILES/same" | xargs -0 -r rm -f --
find . -mindepth 1 -type d -empty -delete
tr '\n' '\0' <"$PORTSIDE_FILES/same" | xargs -0 -r chmod -- 644
tr '\n' '\0' <"$PORTSIDE_FILES/programs" | xargs -0 -r chmod -- 755
[ ! -d "$PORTSIDE_FILES/context" ] || cp -RP "$PORTSIDE_FILES/context/." .
