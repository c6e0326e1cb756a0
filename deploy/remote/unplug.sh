#!/bin/sh
# Put a generation of Nginx's files live that doesn't have a site any more. If that fails, the site stays as it was.
# before: the live generation at the time of planning. status_port, page and $PORTSIDE_FILES: see generation.sh. marker: see
# backup.sh.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${generation?}" "${before?}" "${status_port?}" "${page?}" "${marker?}"
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

begin "$before"
put "$generation" || { put_back; resume; exit 1; }
tidy
