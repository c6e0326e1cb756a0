#!/bin/sh
# Dump the site's databases.
# data: the data services' compose file. dump: see databases.sh.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${data?}" "${dump?}"
. "$PORTSIDE/remote/databases.sh"
mkdir -p -m 700 "${dump%/*}"
rm -f "${dump%/*}"/*.part # left by an interrupted dump
dump_databases "$dump" || die "The database can't be dumped, so no migration was applied."
