# Functions that list surplus releases and limit the build cache. Read with: . "$PORTSIDE/remote/pruning.sh"
# shellcheck shell=sh

# Of the releases on standard input, newest first, print those up to the KEEPth that can start. A release without its image
# can't start and doesn't count.
#   newest ROOT KEEP
newest() {
    images=$(docker images --format '{{.Tag}}' "portside/${1##*/}" 2>/dev/null) || images=unknown
    left=$2
    while [ "$left" -gt 0 ] && read -r id; do
        echo "$id"
        ! can_start "$1" "$id" || left=$((left - 1))
    done
}

# Return whether a release has all it needs to start: a static one needs no image. newest sets $images.
can_start() {
    [ "$images" = unknown ] || printf '%s\n' "$images" | grep -qxF "$2" ||
        grep -q '"kind": *"static"' "$1/releases/$2/release.json"
}

# Print the surplus releases, one a line: all but the last KEEP that were live and can start, and the given ones.
#   surplus ROOT KEEP ID...
surplus() {
    releases=$1/releases
    kept=$(cd "$releases" && find . -mindepth 2 -maxdepth 2 -name release.json -printf '%T@ %h\n' | sort -rn |
        sed 's/.* \.\///' | newest "$1" "$2")
    shift 2
    # Folders with other names aren't Portside's.
    for folder in "$releases"/[0-9]*-[0-9]*-*/; do
        [ -d "$folder" ] || continue
        id=${folder%/}
        id=${id##*/}
        printf '%s\n' "$kept" "$@" | grep -qx "$id" || echo "$id"
    done
}

# Print the live release and the one before it, which are always kept.
#   spared ROOT
spared() {
    live=$(readlink "$1/current") || return 0
    echo "${live##*/}"
    sed -n 's/.*"previous": *"\([^"]*\)".*/\1/p' "$1/$live/release.json" 2>/dev/null
}

# Remove the least recently used part of Docker's build cache, down to a size: a share of its disk such as 10%, or as 5g.
# buildx 0.17 renamed the option.
#   bound_cache SIZE
bound_cache() {
    size=$1 option=--keep-storage
    case $1 in
    *%) size=$(($(df -Pk "$(docker info --format '{{.DockerRootDir}}')" | awk 'NR == 2 {print $2}') * 1024 * ${1%\%} / 100)) ;;
    esac
    ! docker builder prune --help 2>/dev/null | grep -q -- --reserved-space || option=--reserved-space
    docker builder prune -f "$option" "$size" | reclaimed
}

# Print how much docker builder prune has removed, or nothing.
reclaimed() { sed -n 's/^Total[^:]*:[[:space:]]*//p' | grep -v '^0B$'; }
