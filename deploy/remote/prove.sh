#!/bin/sh
# Request each name by HTTPS until Nginx serves the right certificate.
#   prove.sh CERTIFICATE NAME...
# $PORTSIDE_FILES: prove.py
. "$PORTSIDE/remote/lib.sh"
python3 "$PORTSIDE_FILES/prove.py" "$@" || die "Nginx doesn't serve the certificate."
