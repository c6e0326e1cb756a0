#!/bin/sh
# Makes a folder what an image is built of: of files that came along, and of those that it has from the last build.
#   context.sh FOLDER
# $PORTSIDE_FILES: context/ (the files), same (paths of the others, a line each), programs (those of them that can be run).
# Broken off, it leaves files that the next deploy compares by their sums before it takes any.
set -e
folder=$1
mkdir -p -m 700 "$folder"
cd "$folder"
find . ! -type d -printf '%P\0' | grep -zvxFf "$PORTSIDE_FILES/same" | xargs -0 -r rm -f --
find . -mindepth 1 -type d -empty -delete
tr '\n' '\0' <"$PORTSIDE_FILES/same" | xargs -0 -r chmod -- 644
tr '\n' '\0' <"$PORTSIDE_FILES/programs" | xargs -0 -r chmod -- 755
[ ! -d "$PORTSIDE_FILES/context" ] || cp -RP "$PORTSIDE_FILES/context/." .
