#!/bin/sh
# Put a generation of Nginx's files live, or keep the previous one.
# before: the live generation at the time of planning, or empty. status_port, page and $PORTSIDE_FILES: see generation.sh.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${generation?}" "${before?}" "${status_port?}" "${page?}"
. "$PORTSIDE/remote/generation.sh"
begin "$before"
put "$generation" || { put_back; exit 1; }
tidy
