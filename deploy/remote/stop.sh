#!/bin/sh
# Stop the web containers of releases, and keep them. A process may still finish its last job. $PORTSIDE_FILES: event, for
# the history.
. "$PORTSIDE/remote/lib.sh"
list=ids . "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${site?}"
for id in "$@"; do
    docker ps -q --filter "label=portside.site=$site" --filter "label=portside.release=$id" --filter label=portside.role=web
done | xargs -r docker stop -t 40 >/dev/null
note "$root"
