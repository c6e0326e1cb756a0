#!/bin/sh
# Run a command in the live release (DEPLOY_AFTER).
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${command?}"
docker compose --progress quiet -f "$compose" run --rm --no-deps -T manage sh -c "$command" || die "DEPLOY_AFTER failed. The new release is live."
