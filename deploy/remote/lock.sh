# Holds a site's lock while its input is open and something comes from there at least every so many seconds: sshd
# notices a cut cable late, and a suspended laptop not at all.
#   lock SITE WHO TOKEN SECONDS CURRENT WAIT      prints "held", whether something ran here (yes or no) and the live
#                                                 release; or "busy" and who holds it
# WAIT: yes to wait for it; then who holds it is printed whenever that changes.
# A line of the input is the stage we are at, or empty; each is answered, so that the laptop too notices a cut cable.
# Whoever gets the lock leaves the token; a run of steps with another token is refused, so that a laptop which wakes up
# after somebody else took over changes nothing.
# shellcheck shell=sh
trap '' PIPE
exec 2>/dev/null # where sudo asked for a password it would come as output
locks=/run/portside
mkdir -p "$locks"

# Whether a run of steps is under way.
busy() { ! flock -n "$locks/site-$1.work" true; }

# The process group of the run under way; one that must reach its end has none.
group() { ! busy "$1" || cat "$locks/site-$1.group" 2>/dev/null; }

# The process group that waits for the rest of what a laptop sends.
receiving() { flock -n "$locks/site-$1.receiving" true || cat "$locks/site-$1.receiving"; }

# Ends what a laptop that is gone has left running. Not read by anybody any more, it would at best hold us up.
end() {
    [ "$1" ] || return 0
    kill -s TERM -- "-$1" 2>/dev/null
    for _ in $(seq 100); do
        kill -s 0 -- "-$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -s KILL -- "-$1" 2>/dev/null
}

lock=$locks/site-$1.lock

# Whether the file we have open and locked is still the one of this name: with a site that was taken away, it goes too.
same() { [ "$(stat -Lc %d:%i /proc/self/fd/9)" = "$(stat -c %d:%i "$lock" 2>/dev/null)" ]; }

exec 9>"$lock"
holder=- # of somebody who has just begun, nothing stands there yet
until flock -n 9 && same; do
    exec 9>"$lock"
    now=$(cat "$locks/site-$1.holder" 2>/dev/null)
    [ "$now" = "$holder" ] || echo "busy $now"
    holder=$now
    [ "$6" = yes ] || exit 0
    # Until it comes free, our input may end: nobody waits any more.
    flock -w 1 9 && same && break
    timeout 0.1 sh -c 'IFS= read -r beat' 9>&-
    [ $? -ne 1 ] || exit 0
done
since=$(date -u +%H:%M:%S)
printf '%s\n' "$3" >"$locks/site-$1.token"
printf '%s, since %s UTC\n' "$2" "$since" >"$locks/site-$1.holder"
busy=no
! busy "$1" || busy=yes
end "$(group "$1")"
end "$(receiving "$1")"
live=$(readlink "$5")
echo "held $busy ${live##*/}"
# shellcheck disable=SC2016
heard() { stage=$(timeout "$1" sh -c 'IFS= read -r line && printf %s "$line"' 9>&-); }

while heard "$4" || { ended=$?; false; }; do
    echo 2>/dev/null
    [ -z "$stage" ] || printf '%s, since %s UTC, now at %s\n' "$2" "$since" "$stage" >"$locks/site-$1.holder"
done
# A laptop that was only silent may go on; one that hung up won't.
[ "$ended" -eq 124 ] || left=$(group "$1")
rm -f "$locks/site-$1.holder"
# Of a site that isn't there, nothing stays. The lock's file last: from then on it is somebody else's to have.
[ -d "${5%/*}" ] || busy "$1" || { rm -f "$locks/site-$1".[!l]*; rm -f "$lock"; }
exec 9>&-
end "${left:-}"
