#!/bin/sh
# Pull an image.
# registry: its host, or empty for Docker Hub. name: the image's local name.
# $PORTSIDE_FILES: credentials (user:password), if the registry requires them. Answers with the digest that was pulled.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${image?}" "${registry?}" "${name?}"
# Docker's credentials are in memory, in the folder of this run, and removed after the pull.
export DOCKER_CONFIG="$PORTSIDE/docker"
trap 'rm -rf "$DOCKER_CONFIG" "$PORTSIDE_FILES/credentials"' EXIT
if [ -f "$PORTSIDE_FILES/credentials" ]; then
    mkdir -m 700 "$DOCKER_CONFIG"
    printf '{"auths": {"%s": {"auth": "%s"}}}\n' "${registry:-$(docker info --format '{{.IndexServerAddress}}')}" \
        "$(base64 -w0 <"$PORTSIDE_FILES/credentials")" >"$DOCKER_CONFIG/config.json"
fi

identity() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

had=$(identity "$image") before=$(identity "$name")
{ docker pull "$image" 2>&1 || : >"$PORTSIDE/failed"; } | tee "$PORTSIDE/pulled"
[ ! -e "$PORTSIDE/failed" ] ||
    die "The image can't be pulled. Is its name correct (DEPLOY_BUILD)? Does the registry need DEPLOY_REGISTRY_USER and DEPLOY_REGISTRY_PASSWORD?"
docker tag "$image" "$name" || exit 1
# It has the site's name now. Its original name stays if it existed before.
[ "$had" ] || docker image rm "$image" >/dev/null
if [ -n "$before" ]; then
    if [ "$before" = "$(identity "$name")" ]; then
        unchanged "the image hasn't changed"
    else
        docker image rm "$before" >/dev/null 2>&1
    fi
fi
answer "{\"digest\": \"$(sed -n 's/^Digest: //p' "$PORTSIDE/pulled" | tail -n 1)\"}"
