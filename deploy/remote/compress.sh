#!/bin/sh
# Compresses files of this folder, a .gz and, where the server has brotli, a .br beside each.
#   compress.sh POOL FILE...      POOL: where the same files may lie, compressed before
pool=$1
shift
kinds=gz
! command -v brotli >/dev/null || kinds="gz br"

# The compressed file that another release made of the same content.
linked() { cmp -s "$1" "$pool/$1" && ln -f "$pool/$1.$2" "$1.$2" 2>/dev/null; }

for kind in $kinds; do
    left=$#
    while [ "$left" -gt 0 ]; do
        file=$1 left=$((left - 1))
        shift
        set -- "$@" "$file"
        linked "$file" "$kind" || case $kind in
        gz) gzip -9 -n -k -f "$file" ;;
        br) brotli -q 11 -n -k -f "$file" ;;
        esac || exit 1
    done
done
