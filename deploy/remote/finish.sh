#!/bin/sh
# After the switch: the live release is recorded, and its processes start; the old one's are told to end, its connections
# drain, and its web containers stop. They stay, stopped: they are the rollback.
#   finish.sh ROOT SITE ID OLD SECONDS NAME...
# OLD: the release before, or empty; SECONDS: at most, for its connections and jobs; NAME: a process of the live release.
# $PORTSIDE_FILES: release.json, event (a line for the history). Answers with the seconds it took, the connections that
# were left, and the old processes that are still at work.
. "$PORTSIDE/remote/lib.sh"
root=$1 site=$2 id=$3 old=$4 seconds=$5
shift 5
. "$PORTSIDE/remote/processes.sh"

# The old release's web containers that run.
containers() {
    docker ps -q --filter "label=portside.site=$site" --filter "label=portside.release=$old" --filter label=portside.role=web
}

# Connections that Nginx has open to the old release: its sockets have its name in their path, its ports are noted.
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
tell_processes
if [ -n "$old" ] && [ "$old" != "$id" ]; then
    while [ "$(open_connections)" -gt 0 ] && [ $(($(now) - began)) -lt "$seconds" ]; do
        sleep 0.1
    done
    left=$(open_connections) grace=40
    # Who is connected still has had the time that is given, and may be a websocket that never ends.
    [ "$left" -eq 0 ] || grace=5
    containers | xargs -r docker stop -t "$grace" >/dev/null
fi
while [ -n "$(working)" ] && [ $(($(now) - began)) -lt "$seconds" ]; do
    sleep 0.2
done
took=$(($(now) - began))
# shellcheck disable=SC2046
answer "{\"seconds\": $took, \"left\": $left, \"working\": $(list $(working))}"
