#!/bin/sh
# Compresses the text files of a folder, a .gz and, where the server has brotli, a .br beside each: Nginx sends these instead
# of compressing anew for every visitor. Afterwards the folder is root's, for all to read.
#   compress.sh FOLDER POOL FILE...      POOL: where the same files may lie, compressed before; without FILE: all of them
folder=$1 pool=$2
shift 2
cd "$folder" || exit 1
if [ "$#" -eq 0 ]; then
    find . -type f -size +1k \( -name '*.css' -o -name '*.js' -o -name '*.mjs' -o -name '*.svg' -o -name '*.json' \
        -o -name '*.html' -o -name '*.htm' -o -name '*.xml' -o -name '*.txt' -o -name '*.csv' -o -name '*.map' -o -name '*.wasm' \
        -o -name '*.ttf' -o -name '*.otf' -o -name '*.webmanifest' \) -printf '%P\0' |
        xargs -0 -r -n 16 -P "$(nproc)" sh "$0" "$folder" "$pool" &&
        chown -R root:root . && chmod -R u=rwX,go=rX .
    exit
fi
kinds=gz
! command -v brotli >/dev/null || kinds="gz br"

# The compressed file that another release made of the same content.
linked() { cmp -s "$1" "$pool/$1" && ln "$pool/$1.$2" "$1.$2" 2>/dev/null; }

for kind in $kinds; do
    left=$#
    while [ "$left" -gt 0 ]; do
        file=$1 left=$((left - 1))
        shift
        set -- "$@" "$file"
        rm -f "$file.$kind" # it may be a link, and writing would change the other's
        linked "$file" "$kind" || case $kind in
        gz) gzip -9 -n -k -f "$file" ;;
        br) brotli -q 11 -n -k -f "$file" ;;
        esac || exit 1
    done
done
