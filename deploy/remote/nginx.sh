#!/bin/sh
# Puts a generation of Nginx's files live, or leaves the previous one.
#   nginx.sh GENERATION BEFORE STATUS_PORT PAGE
# BEFORE: the live generation when this was planned, or empty; PAGE and $PORTSIDE_FILES: see generation.sh.
. "$PORTSIDE/remote/lib.sh"
# shellcheck disable=SC2034 # for generation.sh
status_port=$3 page=$4
. "$PORTSIDE/remote/generation.sh"
begin "$2"
put "$1" || { put_back; exit 1; }
tidy
