#!/bin/sh
# Report which layers of an image are missing.
# Answers with the missing ones, and how many bytes of each have arrived.
. "$PORTSIDE/remote/lib.sh"
list=names . "$PORTSIDE/remote/arguments.sh"
: "${folder?}"
mkdir -p "$folder" && chmod 700 "$folder" || exit 1
lacking=
for name in "$@"; do
    [ -f "$folder/$name" ] && touch "$folder/$name" && continue
    lacking="$lacking, \"$name\": $(stat -c %s "$folder/$name.part" 2>/dev/null || echo 0)"
done
answer "{${lacking#, }}"
unchanged "$# layers, $(printf '%s' "$lacking" | tr -dc : | wc -c) of them missing"
