#!/bin/sh
# Compress the text files of a folder: a .gz beside each, and a .br if the server has brotli. Nginx sends these instead of
# compressing for every visitor. Afterwards the folder belongs to root and everyone may read it.
# pool: a folder that may have the same files compressed.
# A project can have thousands of files, so each program starts once for many of them.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${folder?}" "${pool?}"
export LC_ALL=C # so that sort and comm agree
cd "$folder" || exit 1
lists=$PORTSIDE/compress
mkdir -p "$lists" || exit 1
kinds=gz
! command -v brotli >/dev/null || kinds="gz br"

# Print the hashes of the files in a folder that may lack some of them.
sums() { (cd "$1" 2>/dev/null && xargs -0 -r sha256sum -z -- <"$lists/all" 2>/dev/null | sort -z); }

# Print the names of their compressed files.
of_kind() { xargs -0 -r printf "%s.$kind\\0"; }

# Compress on all cores.
compress() {
    case $kind in
    gz) set -- gzip -9 -n -k -f -- ;;
    br) set -- brotli -q 11 -n -k -f -- ;;
    esac
    xargs -0 -r -n 16 -P "$(nproc)" "$@"
}

find . -type f -size +1k \( -name '*.css' -o -name '*.js' -o -name '*.mjs' -o -name '*.svg' -o -name '*.json' \
    -o -name '*.html' -o -name '*.htm' -o -name '*.xml' -o -name '*.txt' -o -name '*.csv' -o -name '*.map' -o -name '*.wasm' \
    -o -name '*.ttf' -o -name '*.otf' -o -name '*.webmanifest' -o -name '*.md' -o -name '*.markdown' -o -name '*.vtt' \
    -o -name '*.ics' -o -name '*.geojson' -o -name '*.jsonld' \) -print0 | sort -z >"$lists/all" || exit 1
sums . >"$lists/here"
sums "$pool" >"$lists/there"
comm -z -12 "$lists/here" "$lists/there" | cut -z -c 67- >"$lists/same"
for kind in $kinds; do
    of_kind <"$lists/all" | xargs -0 -r rm -f -- # one may be a hard link, and writing would change both
    # Link what another release made of the same content. What is missing, or on another disk, is made here.
    [ ! -s "$lists/same" ] || (cd "$pool" && of_kind <"$lists/same" | link "$folder" 2>/dev/null)
    find . -name "*.$kind" -print0 | sed -z "s/\.$kind\$//" | sort -z | comm -z -23 "$lists/all" - | compress || exit 1
done
chown -R root:root . && chmod -R u=rwX,go=rX .
