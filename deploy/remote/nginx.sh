#!/bin/sh
# Put a generation of Nginx's files live, or keep the previous one.
#   nginx.sh GENERATION BEFORE STATUS_PORT PAGE
# BEFORE: the live generation at the time of planning, or empty. PAGE and $PORTSIDE_FILES: see generation.sh.
. "$PORTSIDE/remote/lib.sh"
# shellcheck disable=SC2034 # for generation.sh
status_port=$3 page=$4
. "$PORTSIDE/remote/generation.sh"
begin "$2"
put "$1" || { put_back; exit 1; }
tidy
