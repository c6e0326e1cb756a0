# What receives a run of steps: a folder that mktemp makes private, unpacked, run, and removed however it ends.
#   receive ROOM NONCE LOCKS SITE TOKEN HOW
# ROOM: where the folder is made. LOCKS: the server's locks to wait for and hold while it runs. SITE, TOKEN: the site
# whose lock must still be ours, or empty. HOW: "detached" for a run that must reach its end without us, else empty.
# Travels as the words of a command, since its input is the stream.
# shellcheck shell=sh
room=$1 nonce=$2 locks=$3 site=$4 token=$5 how=$6
umask 022
export LC_ALL=C.UTF-8
folder=$(mktemp -d "$room/portside.XXXXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
# Whether the site's lock is still ours. Whoever took it since has ended what runs here (lock.sh): the laptop may wake up
# and is told so.
ours() { [ -z "$site" ] || [ "$(cat "/run/portside/site-$site.token" 2>/dev/null)" = "$token" ]; }
trap 'ours || exit 77; exit 129' HUP INT TERM
trap '' PIPE # nobody may be reading any more: the folder goes all the same
if [ "$site" ] && mkdir -p /run/portside && ours; then
    exec 8>"/run/portside/site-$site.receiving"
    flock -n 8 && cut -d " " -f 5 "/proc/$$/stat" >&8 # our process group
fi
tar -xzf - -C "$folder" || { echo "the transfer broke off, or $room is full"; exit 1; }
exec 8>&-
set -- sh "$folder/remote/apply.sh" "$folder" "$nonce" "$site" "$token" "$how"
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

# Systemd runs it from here on; we only read its log, and may stop reading.
: >"$folder/log"
exec 3<"$folder/log"
systemd-run --quiet --collect --unit "portside-$nonce" --setenv "LC_ALL=$LC_ALL" -p "StandardOutput=append:$folder/log" \
    -p "StandardError=append:$folder/log" sh "$folder/remote/detached.sh" "$folder" "$nonce" "$@" || exit 1
trap - EXIT
pid=$(systemctl show -p MainPID --value "portside-$nonce")
# What it prints, until it has ended.
if [ "${pid:-0}" -gt 1 ]; then tail -n +1 -f -s 0.05 --pid "$pid"; else cat; fi <&3
