# What asks for the cause of an application's error. Read with: . "$PORTSIDE/remote/cause.sh", beside lib.sh.
# shellcheck shell=sh

# The error's traceback: the page asked for once more, in the release's image.
#   cause COMPOSE REQUEST      REQUEST: a file; see cause.py, which $PORTSIDE_FILES has besides
cause() {
    cp "$2" "$PORTSIDE_FILES/request" && chmod 644 "$PORTSIDE_FILES/request" || return
    said=$(manage "$1" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage python /portside/ask/cause.py \
        /portside/ask/request </dev/null 2>&1)
    marked=$(printf '%s\n' "$said" | sed -n 's/^portside-cause://p')
    [ -n "$marked" ] || { echo "The page can't be asked for in a container of its own:"; printf '%s\n' "$said" | tail -n 12; return; }
    printf '%s\n' "$marked"
}

# The end of the log of a release, or of one of its containers: nothing where it ends as the error's cause does.
#   log_end COMPOSE LINES CAUSE [SERVICE]
log_end() {
    [ "$2" -gt 0 ] || return 0
    # What was asked again and again says the same as often: of equal lines one is enough.
    log=$(docker compose -f "$1" logs --no-color --no-log-prefix --tail 300 ${4:+"$4"} | uniq | tail -n "$2")
    [ -n "$log" ] || return 0
    printf '%s\n' "$3" | grep -qxF -e "$(printf '%s\n' "$log" | tail -n 1)" || printf 'Its log ends:\n%s\n' "$log"
}
