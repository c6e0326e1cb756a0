#!/bin/sh
# Prepares a release with its own image, before anything is switched: collects and compresses static files.
#   prepare.sh COMPOSE MANAGE STATIC BEFORE      STATIC: the folder to compress, or empty for none; BEFORE: a command or empty
. "$PORTSIDE/remote/lib.sh"
static=$3

# A .gz beside each text file, which Nginx sends instead of compressing anew for every visitor.
compress() {
    find "$static" -type f -size +1k \( -name '*.css' -o -name '*.js' -o -name '*.mjs' -o -name '*.svg' -o -name '*.json' \
        -o -name '*.html' -o -name '*.xml' -o -name '*.txt' -o -name '*.map' -o -name '*.wasm' -o -name '*.ttf' \
        -o -name '*.otf' -o -name '*.webmanifest' \) -print0 | xargs -0 -r -n 16 -P "$(nproc)" gzip -9 -n -k -f
    chown -R root:root "$static" && chmod -R u=rwX,go=rX "$static"
}

manage "$1" manage sh -s -- "$2" "${static:+yes}" "$4" <<'INSIDE' || die "The new release isn't used."
set -e
manage=$1 static=$2 before=$3
[ -z "$static" ] || python "$manage" collectstatic --noinput --verbosity 1 </dev/null
[ -z "$before" ] || sh -c "$before" </dev/null
INSIDE
[ -z "$static" ] || compress || die "The static files can't be compressed."
exit 0
