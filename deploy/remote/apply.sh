#!/bin/sh
# Run the steps that were sent along, in order, and report how each ended.
# site, token: the site whose lock this run must hold at every step, or both empty. how: "detached" if the run must finish
# without the laptop, else empty. folder contains remote/ (the scripts), steps (lines "step N VERB ARGS") and files/N/ (a
# step's files). Lines that begin with @@ and the nonce are for the laptop; all others are the steps' output.
. "${0%/*}/arguments.sh"
: "${folder?}" "${nonce?}" "${site?}" "${token?}" "${how?}"
set -u
PORTSIDE=$folder
exec 2>&1 </dev/null
# The reader may be gone: that must not end a step half-way.
trap '' PIPE
export PORTSIDE

report() { printf '\n@@%s %s\n' "$nonce" "$*"; }

# Return whether this run still holds the site's lock: another run that takes it writes another token.
ours() { [ -z "$site" ] || [ "$(cat "/run/portside/site-$site.token" 2>/dev/null)" = "$token" ]; }

# A run that takes the lock from a lost laptop kills what still runs for it, by its process group.
group=/run/portside/site-$site.group
rm -f "$group"
if [ "$site" ] && [ "$how" != detached ] && ours; then
    trap 'rm -f "$group"' EXIT
    echo $$ >"$group"
fi

# Run one step. The verb may write a result ("unchanged WHY") and an answer (JSON on one line).
step() {
    number=$1
    shift
    PORTSIDE_FILES=$PORTSIDE/files/$number
    PORTSIDE_RESULT=$PORTSIDE/result
    PORTSIDE_ANSWER=$PORTSIDE/answer
    export PORTSIDE_FILES PORTSIDE_RESULT PORTSIDE_ANSWER
    rm -f "$PORTSIDE_RESULT" "$PORTSIDE_ANSWER"
    ours || { report exit 77; exit 77; }
    report begin "$number"
    ("$@")
    code=$?
    if [ "$code" -ne 0 ]; then
        report failed "$number" "$code"
        exit 1
    fi
    [ ! -f "$PORTSIDE_ANSWER" ] || report answer "$number" "$(cat "$PORTSIDE_ANSWER")"
    report ended "$number" "$(cat "$PORTSIDE_RESULT" 2>/dev/null || echo changed)"
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

# Record the checksum of a host file: if the file differs later, it was edited by hand. Not for secrets, and not where other
# programs write too. The last line of a file counts.
note_sum() {
    case $1 in
    /etc/portside/* | /etc/docker/*) ;;
    /etc/* | /usr/*)
        mkdir -p /var/lib/portside && printf '%s %s\n' "$(sha256sum <"$1" | cut -d' ' -f1)" "$1" >>/var/lib/portside/written
        ;;
    esac
}

# write PATH MODE OWNER: writes the file "content" by a rename, never through a link
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

# remove PATH: removes a file
remove() {
    if [ ! -e "$1" ]; then
        unchanged
        return
    fi
    rm -f "$1"
}

# ids OWNER: prints "root:root" as 0:0; numbers stay
ids() {
    case $1 in
    root:root) echo 0:0 ;;
    *) echo "$1" ;;
    esac
}

# script NAME ARGS: runs a file of remote/
script() {
    name=$1
    shift
    sh "$PORTSIDE/remote/$name.sh" "$@"
}

. "$PORTSIDE/steps"
