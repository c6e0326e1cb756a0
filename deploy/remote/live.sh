#!/bin/sh
# Print which release is live, its record, and the site's record, as facts.sh does. Read-only.
#   live.sh ROOT
. "$PORTSIDE/remote/lib.sh"
live=$(readlink "$1/current") || exit 0
[ ! -f "$1/site.json" ] || printf 'site.record\t%s\n' "$(base64 -w0 <"$1/site.json")"
printf 'site.current\t%s\n' "${live##*/}"
for record in release.json pending.json; do
    [ ! -f "$1/current/$record" ] || { printf 'release\t%s %s\n' "${live##*/}" "$(base64 -w0 <"$1/current/$record")"; exit 0; }
done
