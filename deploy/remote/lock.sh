#!/bin/sh
# Holds a site's lock for as long as its input is open; each line of it is the stage we are at.
#   lock.sh SITE WHO      prints "held", or who holds it
mkdir -p /run/lock/portside
holder=/run/lock/portside/$1.holder
exec 9>"/run/lock/portside/$1.lock"
if ! flock -n 9; then
    cat "$holder" 2>/dev/null
    exit 0
fi
since=$(date -u +%H:%M:%S)
printf '%s, since %s UTC\n' "$2" "$since" >"$holder"
echo held
while IFS= read -r stage; do
    printf '%s, since %s UTC, now at %s\n' "$2" "$since" "$stage" >"$holder"
done
rm -f "$holder"
