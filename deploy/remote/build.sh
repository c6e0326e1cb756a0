#!/bin/sh
# Builds an image from what came along.
#   build.sh IMAGE CONTEXT DOCKERFILE OPTION...
# CONTEXT: a folder that is made what the image is built of (context.sh), DOCKERFILE: a path below it, OPTION: words for
# docker buildx build; an argument's is its name.
# $PORTSIDE_FILES: as context.sh wants it, arguments (exports), secrets/, overlay/. Answers with the image's digest.
. "$PORTSIDE/remote/lib.sh"
image=$1 context=$2 dockerfile=$3
shift 3
sh "$PORTSIDE/remote/context.sh" "$context" || die "The files can't be put together."
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

build "$context" --file "$dockerfile" "$@"
code=$?
find "$context" -type l -delete # to the next deploy, what a link leads to would look like a file that is there
[ "$code" -eq 0 ] || exit "$code"
[ ! -d overlay ] || build overlay "$@" || exit
answer "{\"digest\": \"$(docker image inspect --format '{{.Id}}' "$image")\"}"
