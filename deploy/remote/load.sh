#!/bin/sh
# Make Docker load an image whose layers were sent.
# folder: the layers' folder. listing: the file that lists the release's layers.
# $PORTSIDE_FILES: config.json, manifest.json. Answers with the image's digest.
. "$PORTSIDE/remote/lib.sh"
list=names . "$PORTSIDE/remote/arguments.sh"
: "${image?}" "${folder?}" "${listing?}"
mkdir -p "${listing%/*}" && printf '%s\n' "$@" >"$listing" || exit 1
tar -cf - -C "$PORTSIDE_FILES" manifest.json config.json -C "$folder" "$@" | docker load -q || die "Docker can't load the image."
answer "{\"digest\": \"$(docker image inspect --format '{{.Id}}' "$image")\"}"
