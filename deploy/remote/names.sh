#!/bin/sh
# Check in advance what a certificate authority will check. Answers with the output of names.py.
#   names.sh ACME_ROOT TOKEN DIRECTORY NAME...
# $PORTSIDE_FILES: names.py; ca.pem, if another authority is to be trusted.
. "$PORTSIDE/remote/lib.sh"
json=$(python3 "$PORTSIDE_FILES/names.py" "$@") || die "The domain names can't be checked."
answer "$json"
