#!/bin/sh
# After the switch: the live release comes back after a reboot and is recorded; the old one's connections drain, and
# its containers stop. They stay, stopped: they are the rollback.
#   finish.sh ROOT SITE ID OLD SECONDS      OLD: the release before, or empty; SECONDS: at most, for its connections
# $PORTSIDE_FILES: release.json, event (a line for the history). Answers with the seconds it took and what was left.
. "$PORTSIDE/remote/lib.sh"
root=$1 site=$2 id=$3 old=$4 seconds=$5

# containers RELEASE HOW: those that run (-q) or all of them (-aq)
containers() {
    docker ps "$2" --filter "label=portside.site=$site" --filter "label=portside.release=$1" --filter label=portside.role=web
}

# Connections that Nginx has open to a release: its sockets have its name in their path.
open_connections() { ss -Hx state established | grep -cF " /run/portside/$site-$1/"; }

# After a power cut they are there, but don't run yet. One that can't any more is the next deploy's matter.
ids=$(containers "$id" -aq)
# shellcheck disable=SC2086
[ -z "$ids" ] || { docker update --restart unless-stopped $ids && { docker start $ids || :; }; } >/dev/null || exit 1
pool "$root" "$id" || exit 1
cp "$PORTSIDE_FILES/release.json" "$root/releases/$id/release.json.new" &&
    chmod 644 "$root/releases/$id/release.json.new" &&
    mv -f "$root/releases/$id/release.json.new" "$root/releases/$id/release.json" || exit 1
rm -f "$root/releases/$id/pending.json"
cat "$PORTSIDE_FILES/event" >>"$root/history.jsonl"
[ -n "$old" ] && [ "$old" != "$id" ] || exit 0
started=$(now)
while [ "$(open_connections "$old")" -gt 0 ] && [ $(($(now) - started)) -lt "$seconds" ]; do
    sleep 0.1
done
left=$(open_connections "$old")
# shellcheck disable=SC2046
[ -z "$(containers "$old" -q)" ] || docker stop -t 40 $(containers "$old" -q) >/dev/null
answer "{\"seconds\": $(($(now) - started)), \"left\": $left}"
