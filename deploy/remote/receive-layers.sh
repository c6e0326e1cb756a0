# Receives layers of an image into the folder where they stay, so that what has arrived needn't be sent again.
#   receive-layers NONCE SITE TOKEN FOLDER
# The input: of each layer a line "NAME OFFSET SIZE SUM" and SIZE bytes, those from OFFSET on. Travels as the words of a
# command, since its input is that. SITE, TOKEN: the site whose lock must still be ours.
# shellcheck shell=sh
nonce=$1 site=$2 token=$3 folder=$4
exec 2>&1
trap '' PIPE # nobody may be reading any more
locks=/run/portside

tell() { printf '\n@@%s %s\n' "$nonce" "$*"; }

# Why it ends here.
die() {
    printf '%s\n' "$*"
    tell failed 1 1
    exit 1
}

# Like any run of steps: one at a time, and whoever takes the lock from a laptop that is gone ends it by its process group.
exec 9>"$locks/site-$site.work"
flock -w 900 9 || exit 75
ours() { [ "$(cat "$locks/site-$site.token")" = "$token" ]; }
ours || exit 77
trap 'rm -f "$locks/site-$site.group"' EXIT
trap 'ours || exit 77; exit 129' HUP INT TERM
cut -d' ' -f5 /proc/$$/stat >"$locks/site-$site.group"
tell begin 1
cd "$folder" || die "$folder is gone."
while read -r name offset size sum; do
    part=$name.part
    { [ "$offset" -gt 0 ] || : >"$part"; } && truncate -s "$offset" "$part" && head -c "$size" >>"$part"
    [ "$(stat -c %s "$part")" -eq $((offset + size)) ] || die "The transfer broke off, or the disk is full."
    if [ "$(sha256sum <"$part")" != "$sum  -" ]; then
        rm -f "$part"
        die "A layer arrived damaged. The next deploy sends it anew."
    fi
    sync "$part" && mv -f "$part" "$name" || die "A layer can't be written."
done
tell ended 1 changed
