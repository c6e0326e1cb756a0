#!/bin/sh
# Asks Nginx for each name by HTTPS, until it shows the certificate that it should.
#   prove.sh CERTIFICATE NAME...
# $PORTSIDE_FILES: prove.py
. "$PORTSIDE/remote/lib.sh"
python3 "$PORTSIDE_FILES/prove.py" "$@" || die "Nginx doesn't serve the certificate."
