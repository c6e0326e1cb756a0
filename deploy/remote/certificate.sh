#!/bin/sh
# Puts a site's certificate where Nginx reads it.
#   certificate.sh SITE KIND FOLDER      FOLDER: empty for what came along
# $PORTSIDE_FILES: fullchain.pem, privkey.pem where it came along.
/usr/local/lib/portside/certificate.sh "$1" "$2" "${3:-$PORTSIDE_FILES}"
