#!/bin/sh
# Report which files of a static site the live release lacks.
# $PORTSIDE_FILES: sums, lines as sha256sum prints them
# Answers with their line numbers. The existing files are read, since they may have been edited by hand.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${folder?}"
unchanged "it only looks"
cd "$folder" || { answer "[$(grep -c '' "$PORTSIDE_FILES/sums" | xargs seq -s ,)]"; exit 0; }
cut -c67- "$PORTSIDE_FILES/sums" | tr '\n' '\0' | xargs -0 -r sha256sum -- >"$PORTSIDE/there" 2>/dev/null
answer "[$(grep -nvxFf "$PORTSIDE/there" "$PORTSIDE_FILES/sums" | cut -d: -f1 | paste -sd ,)]"
