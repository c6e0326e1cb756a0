#!/bin/sh
# Start processes of the live release that don't run.
#   revive.sh ROOT SITE ID NAME...
. "$PORTSIDE/remote/lib.sh"
# shellcheck disable=SC2034 # for processes.sh
root=$1 site=$2 id=$3
shift 3
. "$PORTSIDE/remote/processes.sh"
start_processes "$@"
