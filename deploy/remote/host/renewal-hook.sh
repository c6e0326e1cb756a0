#!/bin/sh
# Written by Portside: certbot runs this after each renewal. A certificate of the user's own (DEPLOY_TLS_CERT) is kept.
site=${RENEWED_LINEAGE##*/}
case $(readlink "/etc/portside/certificates/$site/live") in
issued-*) exec /usr/local/lib/portside/certificate.sh "$site" issued "$RENEWED_LINEAGE" ;;
esac
