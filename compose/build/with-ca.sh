#!/bin/sh
# Runs its arguments with the CA bundle (DEPLOY_BUILD_CA) and the package index (DEPLOY_PIP_INDEX) of the build, if any.
if [ -s /run/secrets/portside-ca ]; then
    export SSL_CERT_FILE=/run/secrets/portside-ca
    export PIP_CERT=$SSL_CERT_FILE REQUESTS_CA_BUNDLE=$SSL_CERT_FILE
fi
if [ -n "${PIP_INDEX:-}" ]; then
    export PIP_INDEX_URL="$PIP_INDEX" UV_DEFAULT_INDEX="$PIP_INDEX"
fi
exec "$@"
