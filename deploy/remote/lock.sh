# Hold a site's lock while the input is open and receives something every so many seconds: sshd notices a cut cable late, and
# a suspended laptop not at all.
# Prints "held", whether a run was in progress (yes or no) and the live release; or "busy" and the holder.
# seconds: of silence. current: the link to the live release. wait: yes to wait for the lock; then the holder is printed
# whenever it changes. This script is sent after arguments.sh as the words of a command.
# A line of the input is the present stage, or empty. Each line is answered, so that the laptop too notices a cut cable.
# The holder of the lock writes its token. A run of steps with another token is refused: a laptop that wakes up after another
# one took over changes nothing.
# shellcheck shell=sh
: "${site?}" "${who?}" "${token?}" "${seconds?}" "${current?}" "${wait?}"
trap '' PIPE
exec 2>/dev/null # if sudo asked for a password, errors would be mixed with the output
locks=/run/portside
mkdir -p "$locks"

# Return whether a run of steps is in progress.
busy() { ! flock -n "$locks/site-$site.work" true; }

# Print the process group of the run in progress. A detached run has none.
group() { ! busy || cat "$locks/site-$site.group" 2>/dev/null; }

# Print the process group that waits for the rest of a transfer.
receiving() { flock -n "$locks/site-$site.receiving" true || cat "$locks/site-$site.receiving"; }

# End what a lost laptop has left running: it would only block the next run.
end() {
    [ "$1" ] || return 0
    kill -s TERM -- "-$1" 2>/dev/null
    for _ in $(seq 100); do
        kill -s 0 -- "-$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -s KILL -- "-$1" 2>/dev/null
}

lock=$locks/site-$site.lock

# Return whether the locked file is still the one of this name: removing a site removes the file too.
same() { [ "$(stat -Lc %d:%i /proc/self/fd/9)" = "$(stat -c %d:%i "$lock" 2>/dev/null)" ]; }

exec 9>"$lock"
holder=- # a new holder may not have written its name yet
until flock -n 9 && same; do
    exec 9>"$lock"
    now=$(cat "$locks/site-$site.holder" 2>/dev/null)
    [ "$now" = "$holder" ] || echo "busy $now"
    holder=$now
    [ "$wait" = yes ] || exit 0
    # The input may end while this waits: then the laptop is gone.
    flock -w 1 9 && same && break
    timeout 0.1 sh -c 'IFS= read -r beat' 9>&-
    [ $? -ne 1 ] || exit 0
done
since=$(date -u +%H:%M:%S)
printf '%s\n' "$token" >"$locks/site-$site.token"
printf '%s, since %s UTC\n' "$who" "$since" >"$locks/site-$site.holder"
busy=no
! busy || busy=yes
end "$(group)"
end "$(receiving)"
live=$(readlink "$current")
echo "held $busy ${live##*/}"
# shellcheck disable=SC2016
heard() { stage=$(timeout "$seconds" sh -c 'IFS= read -r line && printf %s "$line"' 9>&-); }

while heard || { ended=$?; false; }; do
    echo 2>/dev/null
    [ -z "$stage" ] || printf '%s, since %s UTC, now at %s\n' "$who" "$since" "$stage" >"$locks/site-$site.holder"
done
# A laptop that was only silent may continue. One that hung up won't.
[ "$ended" -eq 124 ] || left=$(group)
rm -f "$locks/site-$site.holder"
# If the site doesn't exist, remove all its files. The lock's file comes last: from then on another run may take it.
[ -d "${current%/*}" ] || busy || { rm -f "$locks/site-$site".[!l]*; rm -f "$lock"; }
exec 9>&-
end "${left:-}"
