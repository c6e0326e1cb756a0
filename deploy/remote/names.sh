#!/bin/sh
# Check in advance what a certificate authority will check. Answers with the output of names.py.
# folder, token, directory, names: as names.py takes them.
# $PORTSIDE_FILES: names.py; ca.pem, if another authority is to be trusted.
. "$PORTSIDE/remote/lib.sh"
list=names . "$PORTSIDE/remote/arguments.sh"
: "${folder?}" "${token?}" "${directory?}"
json=$(python3 "$PORTSIDE_FILES/names.py" "$folder" "$token" "$directory" "$@") || die "The domain names can't be checked."
answer "$json"
