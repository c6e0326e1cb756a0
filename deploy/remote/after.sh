#!/bin/sh
# Run a command in the live release (DEPLOY_AFTER).
#   after.sh COMPOSE COMMAND
. "$PORTSIDE/remote/lib.sh"
docker compose --progress quiet -f "$1" run --rm --no-deps -T manage sh -c "$2" || die "DEPLOY_AFTER failed. The new release is live."
