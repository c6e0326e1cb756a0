#!/bin/sh
# Copies the folder of a Docker engine that isn't running. Usage: copy-docker.sh linked|borrowed FROM TO, TO empty.
# An engine writes only to a container's own layer, so that engines can share the files of all other layers:
# linked: by hard links. FROM and TO are on one file system; the copy is independent.
# borrowed: by symbolic links, which is faster. The copy needs FROM at the same path.
set -eu
how=$1 from=$2 to=$3
cd "$from"
find . -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp -a -t "$to" {} +
[ -d overlay2 ] || exit 0
mkdir -m 0710 "$to/overlay2"
find image/overlay2/layerdb/mounts -name mount-id -exec sh -c 'id=$(cat "$1") && printf "%s\n" "$id" "$id-init"' sh {} \; >"$to/own"
for layer in overlay2/*; do
    if [ ! -e "$layer/diff" ] || grep -qxF "${layer#*/}" "$to/own"; then
        cp -a "$layer" "$to/overlay2/"
        continue
    fi
    mkdir -m 0710 "$to/$layer"
    find "$layer" -mindepth 1 -maxdepth 1 ! -name diff -exec cp -a -t "$to/$layer" {} +
    case $how in
    linked) cp -alH "$layer/diff" "$to/$layer/diff" ;;
    borrowed) ln -s "$from/$layer/diff" "$to/$layer/diff" ;;
    esac
done
rm "$to/own"
