#!/bin/sh
# Dumps the site's database, readable by root only.
#   dump.sh DATA DUMP      DATA: the data services' compose file
. "$PORTSIDE/remote/lib.sh"
data=$1 dump=$2
mkdir -p -m 700 "${dump%/*}"
rm -f "${dump%/*}"/*.part # of a dump that was interrupted
(umask 077 && docker compose -f "$data" exec -T db sh -c 'exec pg_dump -Fc -U "$POSTGRES_USER" "$POSTGRES_DB"' \
    </dev/null >"$dump.part") && mv -f "$dump.part" "$dump" || { rm -f "$dump.part"; die "The database can't be dumped, so it isn't migrated."; }
