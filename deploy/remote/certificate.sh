#!/bin/sh
# Put a site's certificate where Nginx reads it.
# folder: empty if the files were sent along.
# $PORTSIDE_FILES: fullchain.pem and privkey.pem, if folder is empty.
. "$PORTSIDE/remote/arguments.sh"
: "${site?}" "${kind?}" "${folder?}"
/usr/local/lib/portside/certificate.sh "$site" "$kind" "${folder:-$PORTSIDE_FILES}"
