#!/bin/sh
# Append the event that was sent along to the site's history.
#   note.sh ROOT      $PORTSIDE_FILES: event
. "$PORTSIDE/remote/lib.sh"
note "$1" && unchanged "it only adds to the history"
