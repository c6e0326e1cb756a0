#!/bin/sh
# Runs the steps that came with it, one after the other, and says how each ended.
#   apply.sh FOLDER NONCE SITE TOKEN HOW
# SITE, TOKEN: the site whose lock must be ours at every step, or empty. HOW: "detached" where it must reach its end
# without a laptop, else empty. FOLDER holds remote/ (the scripts), steps (lines "step N VERB ARGS") and files/N/ (what a step brought along).
# A line that begins with @@NONCE is for the laptop; all others are what the steps printed.
set -u
PORTSIDE=$1
nonce=$2
site=$3
token=$4
how=$5
exec 2>&1 </dev/null
# Nobody may be reading any more: that ends no step half-way.
trap '' PIPE
export PORTSIDE

tell() { printf '\n@@%s %s\n' "$nonce" "$*"; }

# Whether the site's lock is still ours: whoever took it since has left another token.
ours() { [ -z "$site" ] || [ "$(cat "/run/portside/site-$site.token" 2>/dev/null)" = "$token" ]; }

# Whoever takes the lock from a laptop that is gone ends what still runs for it, by its process group.
group=/run/portside/site-$site.group
rm -f "$group"
if [ "$site" ] && [ "$how" != detached ] && ours; then
    trap 'rm -f "$group"' EXIT
    echo $$ >"$group"
fi

# One step: begins, runs, ends. The verb may leave a result ("unchanged WHY") and an answer (JSON on one line).
step() {
    number=$1
    shift
    PORTSIDE_FILES=$PORTSIDE/files/$number
    PORTSIDE_RESULT=$PORTSIDE/result
    PORTSIDE_ANSWER=$PORTSIDE/answer
    export PORTSIDE_FILES PORTSIDE_RESULT PORTSIDE_ANSWER
    rm -f "$PORTSIDE_RESULT" "$PORTSIDE_ANSWER"
    ours || { tell exit 77; exit 77; }
    tell begin "$number"
    ("$@")
    code=$?
    if [ "$code" -ne 0 ]; then
        tell failed "$number" "$code"
        exit 1
    fi
    [ ! -f "$PORTSIDE_ANSWER" ] || tell answer "$number" "$(cat "$PORTSIDE_ANSWER")"
    tell ended "$number" "$(cat "$PORTSIDE_RESULT" 2>/dev/null || echo changed)"
}

unchanged() { echo unchanged >"$PORTSIDE_RESULT"; }

# folder PATH MODE OWNER
folder() {
    if [ -d "$1" ] && [ "$(stat -c %a:%u:%g "$1")" = "$2:$(ids "$3")" ]; then
        unchanged
        return
    fi
    mkdir -p "$1" && chown "$3" "$1" && chmod "$2" "$1"
}

# Notes what was written of the host's own files: what differs from it later was changed by hand. Not of what is secret, and
# not where others write too. The last line of a file counts.
note_sum() {
    case $1 in
    /etc/portside/* | /etc/docker/*) ;;
    /etc/* | /usr/*)
        mkdir -p /var/lib/portside && printf '%s %s\n' "$(sha256sum <"$1" | cut -d' ' -f1)" "$1" >>/var/lib/portside/written
        ;;
    esac
}

# write PATH MODE OWNER: the file "content", put in place by a rename, never through a link
write() {
    if [ -f "$1" ] && [ ! -L "$1" ] && cmp -s "$PORTSIDE_FILES/content" "$1" &&
        [ "$(stat -c %a:%u:%g "$1")" = "$2:$(ids "$3")" ]; then
        unchanged
        return
    fi
    mkdir -p "$(dirname "$1")"
    temporary=$(mktemp "$1.XXXXXX") || return 1
    if cat "$PORTSIDE_FILES/content" >"$temporary" && chown "$3" "$temporary" && chmod "$2" "$temporary"; then
        mv -f "$temporary" "$1" && note_sum "$1"
    else
        rm -f "$temporary"
        return 1
    fi
}

# remove PATH: a file
remove() {
    if [ ! -e "$1" ]; then
        unchanged
        return
    fi
    rm -f "$1"
}

# ids OWNER: "root:root" as 0:0; numbers stay
ids() {
    case $1 in
    root:root) echo 0:0 ;;
    *) echo "$1" ;;
    esac
}

# script NAME ARGS: a file of remote/
script() {
    name=$1
    shift
    sh "$PORTSIDE/remote/$name.sh" "$@"
}

. "$PORTSIDE/steps"
