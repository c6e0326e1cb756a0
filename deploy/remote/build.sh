#!/bin/sh
# Build an image from the files that were sent along.
# context: the folder to build from, which is filled first (context.sh). dockerfile: a path below it. options: of
# docker buildx build; of a build argument only the name.
# $PORTSIDE_FILES: see context.sh; arguments (exports), secrets/, overlay/. Answers with the image's digest.
. "$PORTSIDE/remote/lib.sh"
list=options . "$PORTSIDE/remote/arguments.sh"
: "${image?}" "${context?}" "${dockerfile?}"
sh "$PORTSIDE/remote/context.sh" folder="$context" || die "The build context can't be created."
cd "$PORTSIDE_FILES" || exit 1
# shellcheck source=/dev/null
. ./arguments
for path in secrets/*; do
    [ ! -f "$path" ] || set -- "$@" --secret "id=${path#secrets/},src=$path"
done

# The context is sent as a stream: from a folder, BuildKit takes only files that look newer than at the last build.
build() {
    folder=$1
    shift
    tar -C "$folder" -cf - . | docker buildx build --progress plain --load --tag "$image" "$@" -
}

build "$context" --file "$dockerfile" "$@"
code=$?
find "$context" -type l -delete # the next deploy would take a link's target for an existing file
[ "$code" -eq 0 ] || exit "$code"
[ ! -d overlay ] || build overlay "$@" || exit
answer "{\"digest\": \"$(docker image inspect --format '{{.Id}}' "$image")\"}"
