#!/bin/sh
# Put a site's certificate where Nginx reads it.
#   certificate.sh SITE KIND FOLDER      FOLDER: empty if the files were sent along
# $PORTSIDE_FILES: fullchain.pem and privkey.pem, if FOLDER is empty.
/usr/local/lib/portside/certificate.sh "$1" "$2" "${3:-$PORTSIDE_FILES}"
