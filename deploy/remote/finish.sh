#!/bin/sh
# Finish a switch. Record the live release and start its processes. Ask the old release's processes to end, wait for its open
# connections, and stop its web containers. They are kept for a rollback.
# old: the previous release, or empty. seconds: the time limit for its connections and jobs. processes: those of the live
# release. $PORTSIDE_FILES: release.json, event (a line for the history). Answers with the seconds it took, the number of
# connections left, and the old processes that still run.
. "$PORTSIDE/remote/lib.sh"
list=processes . "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${site?}" "${id?}" "${old?}" "${seconds?}"
. "$PORTSIDE/remote/processes.sh"

# Print the running web containers of the old release.
containers() {
    docker ps -q --filter "label=portside.site=$site" --filter "label=portside.release=$old" --filter label=portside.role=web
}

# Count Nginx's open connections to the old release: by its name in the path of its sockets, and by its ports.
open_connections() {
    {
        ss -Hx state established | grep -F " /run/portside/$site-$old/"
        for port in $(ports "$root/releases/$old"); do
            ss -Htn state established dport = ":$port"
        done
    } | wc -l
}

cp "$PORTSIDE_FILES/release.json" "$root/releases/$id/release.json.new" &&
    chmod 644 "$root/releases/$id/release.json.new" &&
    mv -f "$root/releases/$id/release.json.new" "$root/releases/$id/release.json" && pool "$root" "$id" || exit 1
start_processes "$@"
rm -f "$root/releases/$id/pending.json"
note "$root"
began=$(now) left=0
end_processes
if [ -n "$old" ] && [ "$old" != "$id" ]; then
    while [ "$(open_connections)" -gt 0 ] && [ $(($(now) - began)) -lt "$seconds" ]; do
        sleep 0.1
    done
    left=$(open_connections) grace=40
    # A connection that is still open had its time. It may be a websocket that never ends.
    [ "$left" -eq 0 ] || grace=5
    containers | xargs -r docker stop -t "$grace" >/dev/null
fi
while [ -n "$(working)" ] && [ $(($(now) - began)) -lt "$seconds" ]; do
    sleep 0.2
done
took=$(($(now) - began))
# shellcheck disable=SC2046
answer "{\"seconds\": $took, \"left\": $left, \"working\": $(list $(working))}"
