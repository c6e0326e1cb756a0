#!/bin/sh
# Append the event that was sent along to the site's history.
# $PORTSIDE_FILES: event
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${root?}"
note "$root" && unchanged "it only adds to the history"
