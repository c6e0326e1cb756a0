#!/bin/sh
# Request each name by HTTPS until Nginx serves the right certificate.
# $PORTSIDE_FILES: prove.py
. "$PORTSIDE/remote/lib.sh"
list=names . "$PORTSIDE/remote/arguments.sh"
: "${certificate?}"
python3 "$PORTSIDE_FILES/prove.py" "$certificate" "$@" || die "Nginx doesn't serve the certificate."
