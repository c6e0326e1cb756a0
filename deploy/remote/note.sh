#!/bin/sh
# Adds the event that came along to the site's history.
#   note.sh ROOT      $PORTSIDE_FILES: event
. "$PORTSIDE/remote/lib.sh"
note "$1" && unchanged "it only notes"
