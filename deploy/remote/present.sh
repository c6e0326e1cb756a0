#!/bin/sh
# Print what a plan compares with, as lines of "key<TAB>value". Read-only.
# live: the live release, or empty. image: its image. keep: how many releases stay besides the next one. nonce: is hashed with
# each line of the environment. $PORTSIDE_FILES: paths, lines of "WANTED PATH": a file's wanted checksum, or - if its content
# must not be printed; listing, the files of the next release.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${live?}" "${network?}" "${image?}" "${keep?}" "${nonce?}"
. "$PORTSIDE/remote/pruning.sh"
release=$root/releases/$live

print_file() {
    sum=- content=-
    if [ -f "$2" ] && [ ! -L "$2" ]; then
        sum=$(sha256sum <"$2" | cut -d' ' -f1)
        [ "$1" = - ] || [ "$1" = "$sum" ] || content=$(head -c 262144 "$2" | base64 -w0)
    fi
    printf 'file\t%s %s %s %s\n' "$(stat -c '%a %u:%g' "$2")" "$sum" "${content:--}" "$2"
}

while IFS= read -r line; do
    [ ! -e "${line#* }" ] || print_file "${line%% *}" "${line#* }"
done <"$PORTSIDE_FILES/paths"
[ ! -f "$release/env" ] || print_environment "$release" "$nonce"
if [ -f "$release/source.sums" ]; then
    printf 'listed\tyes\n'
    grep -vxFf "$release/source.sums" "$PORTSIDE_FILES/listing" | sed 's/^/source.new\t/'
    grep -vxFf "$PORTSIDE_FILES/listing" "$release/source.sums" | sed 's/^/source.old\t/'
fi
docker network inspect "$network" >/dev/null 2>&1 && printf 'network\tyes\n'
printf 'image.size\t%s\n' "$(docker image inspect --format '{{.Size}}' "$image" 2>/dev/null)"
surplus "$root" "$keep" "$live" 2>/dev/null | sed 's/^/surplus\t/'
exit 0
