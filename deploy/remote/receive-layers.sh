# Receive layers of an image into the folder where they are kept, so that an interrupted transfer resumes.
# The input: for each layer a line "NAME OFFSET SIZE SUM", then SIZE bytes, those from OFFSET on. This script is sent after
# arguments.sh as the words of a command, since its input is the layers.
# site, token: the site whose lock this run must still hold.
# shellcheck shell=sh
: "${nonce?}" "${site?}" "${token?}" "${folder?}"
exec 2>&1
trap '' PIPE # the reader may be gone
locks=/run/portside

report() { printf '\n@@%s %s\n' "$nonce" "$*"; }

# Exit with the reason.
die() {
    printf '%s\n' "$*"
    report failed 1 1
    exit 1
}

# Like any run of steps: one at a time. A run that takes the lock from a lost laptop ends this one by its process group.
exec 9>"$locks/site-$site.work"
flock -w 900 9 || exit 75
ours() { [ "$(cat "$locks/site-$site.token")" = "$token" ]; }
ours || exit 77
trap 'rm -f "$locks/site-$site.group"' EXIT
trap 'ours || exit 77; exit 129' HUP INT TERM
cut -d' ' -f5 /proc/$$/stat >"$locks/site-$site.group"
report begin 1
cd "$folder" || die "$folder is gone."
while read -r name offset size sum; do
    part=$name.part
    { [ "$offset" -gt 0 ] || : >"$part"; } && truncate -s "$offset" "$part" && head -c "$size" >>"$part"
    [ "$(stat -c %s "$part")" -eq $((offset + size)) ] || die "The transfer was interrupted, or the disk is full."
    if [ "$(sha256sum <"$part")" != "$sum  -" ]; then
        rm -f "$part"
        die "A layer arrived damaged. The next deploy sends it again."
    fi
    sync "$part" && mv -f "$part" "$name" || die "A layer can't be written."
done
report ended 1 changed
