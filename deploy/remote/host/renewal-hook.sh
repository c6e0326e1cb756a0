#!/bin/sh
# Portside's: certbot runs this after each renewal. A certificate of its owner's own (DEPLOY_TLS_CERT) is left alone.
site=${RENEWED_LINEAGE##*/}
case $(readlink "/etc/portside/certificates/$site/live") in
issued-*) exec /usr/local/lib/portside/certificate.sh "$site" issued "$RENEWED_LINEAGE" ;;
esac
