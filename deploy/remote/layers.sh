#!/bin/sh
# Looks which layers of an image are there.
#   layers.sh FOLDER NAME...
# Answers with those that are lacking, and how many bytes of each have arrived.
. "$PORTSIDE/remote/lib.sh"
folder=$1
shift
mkdir -p "$folder" && chmod 700 "$folder" || exit 1
lacking=
for name in "$@"; do
    [ -f "$folder/$name" ] && touch "$folder/$name" && continue
    lacking="$lacking, \"$name\": $(stat -c %s "$folder/$name.part" 2>/dev/null || echo 0)"
done
answer "{${lacking#, }}"
unchanged "$# layers, of which $(printf '%s' "$lacking" | tr -dc : | wc -c) are lacking"
