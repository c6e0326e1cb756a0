#!/bin/sh
# Put a generation of Nginx's files live that doesn't have a site any more. If that fails, the site stays as it was.
#   unplug.sh GENERATION BEFORE STATUS_PORT PAGE MARKER
# BEFORE: the live generation at the time of planning. PAGE and $PORTSIDE_FILES: see generation.sh. MARKER: see backup.sh.
. "$PORTSIDE/remote/lib.sh"
# shellcheck disable=SC2034 # for generation.sh
status_port=$3 page=$4
marker=$5
. "$PORTSIDE/remote/generation.sh"
# Start the application again. The site may be deployed again.
# The application goes on, and may be deployed again.
resume() {
    [ -f "$marker" ] || return 0
    backup=$(head -n 1 "$marker")
    sed 1d "$marker" | xargs -r docker start >/dev/null || echo "The application can't be started again."
    rm -f "$marker"
    echo "Nothing was removed. The backup stays, in $backup."
}

begin "$2"
put "$1" || { put_back; resume; exit 1; }
tidy
