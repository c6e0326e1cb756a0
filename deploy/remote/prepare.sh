#!/bin/sh
# Prepares a release with its own image, before anything is switched: collects and compresses static files.
#   prepare.sh COMPOSE MANAGE STATIC POOL BEFORE
# STATIC: the folder to compress, or empty for none; POOL: where other releases have the same files; BEFORE: a command or empty
. "$PORTSIDE/remote/lib.sh"
static=$3 pool=$4

# A .gz and a .br beside each text file, which Nginx sends instead of compressing anew for every visitor. Those of a file
# that another release has too are linked.
compress() {
    find "$static" -type f -size +1k \( -name '*.css' -o -name '*.js' -o -name '*.mjs' -o -name '*.svg' -o -name '*.json' \
        -o -name '*.html' -o -name '*.xml' -o -name '*.txt' -o -name '*.map' -o -name '*.wasm' -o -name '*.ttf' \
        -o -name '*.otf' -o -name '*.webmanifest' \) -printf '%P\0' | (cd "$static" && xargs -0 -r -n 16 -P "$(nproc)" sh "$PORTSIDE/remote/compress.sh" "$pool")
    chown -R root:root "$static" && chmod -R u=rwX,go=rX "$static"
}

manage "$1" manage sh -s -- "$2" "${static:+yes}" "$5" <<'INSIDE' || die "The new release isn't used."
set -e
manage=$1 static=$2 before=$3
[ -z "$static" ] || python "$manage" collectstatic --noinput --verbosity 1 </dev/null
[ -z "$before" ] || sh -c "$before" </dev/null
INSIDE
[ -z "$static" ] || compress || die "The static files can't be compressed."
exit 0
