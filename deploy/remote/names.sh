#!/bin/sh
# Asks what an authority will ask, before it does. Answers with what names.py says.
#   names.sh ACME_ROOT TOKEN DIRECTORY NAME...
# $PORTSIDE_FILES: names.py, and ca.pem where another authority is to be trusted.
. "$PORTSIDE/remote/lib.sh"
json=$(python3 "$PORTSIDE_FILES/names.py" "$@") || die "The names couldn't be looked up."
answer "$json"
