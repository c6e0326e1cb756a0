# Functions that find the cause of an application's error. Read with: . "$PORTSIDE/remote/cause.sh", after lib.sh.
# shellcheck shell=sh

# Print the error's traceback: request the page once more, in the release's image.
#   cause COMPOSE REQUEST      REQUEST: a file; see cause.py, which is in $PORTSIDE_FILES
cause() {
    cp "$2" "$PORTSIDE_FILES/request" && chmod 644 "$PORTSIDE_FILES/request" || return
    said=$(manage "$1" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage python /portside/ask/cause.py \
        /portside/ask/request </dev/null 2>&1)
    marked=$(printf '%s\n' "$said" | sed -n 's/^portside-cause://p')
    [ -n "$marked" ] || { echo "The page can't be requested in a separate container:"; printf '%s\n' "$said" | tail -n 12; return; }
    printf '%s\n' "$marked"
}

# Print the end of the log of a release, or of one of its containers. Prints nothing if it ends as the error's cause does.
#   log_end COMPOSE LINES CAUSE [SERVICE]
log_end() {
    [ "$2" -gt 0 ] || return 0
    # Repeated requests repeat their log lines: of equal lines one is enough.
    log=$(docker compose -f "$1" logs --no-color --no-log-prefix --tail 300 ${4:+"$4"} | uniq | tail -n "$2")
    [ -n "$log" ] || return 0
    printf '%s\n' "$3" | grep -qxF -e "$(printf '%s\n' "$log" | tail -n 1)" || printf 'The log ends:\n%s\n' "$log"
}
