#!/bin/sh
# Watch the live release's processes until each has run for 15 seconds or has ended. Print the end of the log of each one that
# has ended. Read-only.
# Answers with the names of those that keep crashing.
. "$PORTSIDE/remote/lib.sh"
list=processes . "$PORTSIDE/remote/arguments.sh"
: "${site?}" "${id?}"

# Print their containers, one a line: NAME RESTARTS STATUS PID CONTAINER
look() {
    docker ps -aq --filter "label=portside.site=$site" --filter "label=portside.release=$id" --filter label=portside.role=process |
        xargs -r docker inspect --format '{{index .Config.Labels "portside.process"}} {{.RestartCount}} {{.State.Status}} {{.State.Pid}} {{.Id}}'
}

# dying NAME...: prints those that have ended within the last hour or don't exist
dying() {
    for name in "$@"; do
        # shellcheck disable=SC2046 # its words
        set -- $(printf '%s\n' "$seen" | grep "^$name ")
        [ "$3" = running ] && { [ "$2" -eq 0 ] || [ "$(ran "$4")" -ge 3600 ]; } || echo "$name"
    done
}

# young: returns whether any process hasn't run for long enough
young() {
    # shellcheck disable=SC2034 # of five words, two are of use here
    printf '%s\n' "$seen" | while read -r name restarts status pid container; do
        [ "$restarts $status" != "0 running" ] || [ "$(ran "$pid")" -ge 15 ] || echo "$name"
    done | grep -q .
}

seen=$(look)
while young; do
    sleep 0.5
    seen=$(look)
done
gone=$(dying "$@")
for name in $gone; do
    echo "The log of $name ends:"
    container=$(printf '%s\n' "$seen" | sed -n "s/^$name .* //p" | head -n 1)
    [ -z "$container" ] || docker logs --tail 15 "$container" 2>&1
done
unchanged "it only looks"
# shellcheck disable=SC2086
answer "{\"dying\": $(list $gone)}"
