#!/bin/sh
# Print the names in the live release's environment and of the settings it was deployed with, each with a hash of its value,
# as lines of "key<TAB>value". Read-only.
# kept: the file with the settings of the last deploy. nonce: is hashed with each value.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${kept?}" "${nonce?}"
printf 'site.last\t%s\n' "$(last_change "$root")"
[ ! -f "$root/current/env" ] || print_environment "$root/current" "$nonce"
[ ! -f "$kept" ] || printf 'kept\tyes\n'
[ ! -f "$kept" ] || python3 -I -S -c '
import base64, hashlib, json, sys
with open(sys.argv[1], encoding="utf-8") as stream:
    values = json.loads(base64.b64decode(stream.read()))["values"]
for name, value in values.items():
    print("setting", f"{name} {hashlib.sha256((sys.argv[2] + value).encode()).hexdigest()}", sep="\t")
' "$kept" "$nonce"
