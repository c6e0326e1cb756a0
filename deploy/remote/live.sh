#!/bin/sh
# Print which release is live, its record, and the site's record, as facts.sh does. Read-only.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${root?}"
live=$(readlink "$root/current") || exit 0
[ ! -f "$root/site.json" ] || printf 'site.record\t%s\n' "$(base64 -w0 <"$root/site.json")"
printf 'site.current\t%s\n' "${live##*/}"
for record in release.json pending.json; do
    [ ! -f "$root/current/$record" ] || { printf 'release\t%s %s\n' "${live##*/}" "$(base64 -w0 <"$root/current/$record")"; exit 0; }
done
