#!/bin/sh
# Dump the site's databases.
#   dump.sh DATA DUMP      DATA: the data services' compose file. DUMP: see databases.sh.
. "$PORTSIDE/remote/lib.sh"
# shellcheck disable=SC2034 # $data is for databases.sh
data=$1 dump=$2
. "$PORTSIDE/remote/databases.sh"
mkdir -p -m 700 "${dump%/*}"
rm -f "${dump%/*}"/*.part # left by an interrupted dump
dump_databases "$dump" || die "The database can't be dumped, so no migration was applied."
