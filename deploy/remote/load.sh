#!/bin/sh
# Make Docker load an image whose layers were sent.
#   load.sh IMAGE FOLDER LIST NAME...      FOLDER: the layers' folder. LIST: the file that lists the release's layers.
# $PORTSIDE_FILES: config.json, manifest.json. Answers with the image's digest.
. "$PORTSIDE/remote/lib.sh"
image=$1 folder=$2 list=$3
shift 3
mkdir -p "${list%/*}" && printf '%s\n' "$@" >"$list" || exit 1
tar -cf - -C "$PORTSIDE_FILES" manifest.json config.json -C "$folder" "$@" | docker load -q || die "Docker can't load the image."
answer "{\"digest\": \"$(docker image inspect --format '{{.Id}}' "$image")\"}"
