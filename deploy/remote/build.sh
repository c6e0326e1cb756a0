#!/bin/sh
# Builds an image from what came along.
#   build.sh IMAGE DOCKERFILE OPTION...      OPTION: words for docker buildx build; an argument's is its name
# $PORTSIDE_FILES: context/ (DOCKERFILE lies below it), arguments (exports), secrets/, overlay/. Answers with the image's digest.
. "$PORTSIDE/remote/lib.sh"
image=$1 dockerfile=$2
shift 2
cd "$PORTSIDE_FILES" || exit 1
# shellcheck source=/dev/null
. ./arguments
for path in secrets/*; do
    [ ! -f "$path" ] || set -- "$@" --secret "id=${path#secrets/},src=$path"
done

# The context goes in as a stream: of a folder, BuildKit only takes what looks newer than at the last build.
build() {
    folder=$1
    shift
    tar -C "$folder" -cf - . | docker buildx build --progress plain --load --tag "$image" "$@" -
}

build context --file "$dockerfile" "$@" || exit
[ ! -d overlay ] || build overlay "$@" || exit
answer "{\"digest\": \"$(docker image inspect --format '{{.Id}}' "$image")\"}"
