#!/bin/sh
# Tells the names of the live release's environment and of the settings it was deployed with, and of each value a hash, as
# lines of "key<TAB>value". It only reads.
#   env.sh ROOT KEPT NONCE      KEPT: the file with the settings of the last deploy; NONCE: what is hashed with each value
. "$PORTSIDE/remote/lib.sh"
root=$1 kept=$2 nonce=$3
printf 'site.last\t%s\n' "$(last_change "$root")"
[ ! -f "$root/current/env" ] || tell_environment "$root/current" "$nonce"
[ ! -f "$kept" ] || printf 'kept\tyes\n'
[ ! -f "$kept" ] || python3 -I -S -c '
import base64, hashlib, json, sys
with open(sys.argv[1], encoding="utf-8") as stream:
    values = json.loads(base64.b64decode(stream.read()))["values"]
for name, value in values.items():
    print("setting", f"{name} {hashlib.sha256((sys.argv[2] + value).encode()).hexdigest()}", sep="\t")
' "$kept" "$nonce"
