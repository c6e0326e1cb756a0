#!/bin/sh
# Start processes of the live release that don't run.
# id: that release.
. "$PORTSIDE/remote/lib.sh"
list=processes . "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${site?}" "${id?}"
. "$PORTSIDE/remote/processes.sh"
start_processes "$@"
