# Receive a run of steps: create a private folder, unpack, run, and remove the folder however the run ends.
# room: where the folder is created. locks: the server's locks to wait for and hold meanwhile. site, token: the site whose
# lock this run must still hold, or both empty. how: "detached" for a run that must finish without the laptop, else empty.
# This script is sent after arguments.sh as the words of a command, since its input is the stream.
# shellcheck shell=sh
: "${room?}" "${nonce?}" "${locks?}" "${site?}" "${token?}" "${how?}"
umask 022
export LC_ALL=C.UTF-8
folder=$(mktemp -d "$room/portside.XXXXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
# Return whether this run still holds the site's lock. A run that takes it over ends this one (lock.sh); if the laptop wakes
# up, exit code 77 says so.
ours() { [ -z "$site" ] || [ "$(cat "/run/portside/site-$site.token" 2>/dev/null)" = "$token" ]; }
trap 'ours || exit 77; exit 129' HUP INT TERM
trap '' PIPE # the reader may be gone: the folder must be removed anyway
if [ "$site" ] && mkdir -p /run/portside && ours; then
    exec 8>"/run/portside/site-$site.receiving"
    flock -n 8 && cut -d " " -f 5 "/proc/$$/stat" >&8 # this process group
fi
tar -xzf - -C "$folder" || { echo "the transfer was interrupted, or $room is full"; exit 1; }
exec 8>&-
set -- sh "$folder/remote/apply.sh" folder="$folder" nonce="$nonce" site="$site" token="$token" how="$how"
[ "$how" = detached ] || set -- setsid -w "$@"
mkdir -p /run/portside
for lock in $locks; do
    set -- flock -o -w 900 -E 75 "/run/portside/$lock" "$@"
done
if [ "$how" != detached ]; then
    "$@"
    code=$?
    [ "$code" -eq 0 ] || ours || exit 77
    exit "$code"
fi

# From here on systemd runs it. This script only reads its log, and may stop reading.
: >"$folder/log"
exec 3<"$folder/log"
systemd-run --quiet --collect --unit "portside-$nonce" --setenv "LC_ALL=$LC_ALL" -p "StandardOutput=append:$folder/log" \
    -p "StandardError=append:$folder/log" sh "$folder/remote/detached.sh" "$folder" "$nonce" "$@" || exit 1
trap - EXIT
pid=$(systemctl show -p MainPID --value "portside-$nonce")
# Print its output until it has ended.
if [ "${pid:-0}" -gt 1 ]; then tail -n +1 -f -s 0.05 --pid "$pid"; else cat; fi <&3
