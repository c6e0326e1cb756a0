# End what session.sh left: after it has ended, or when its connection is lost, since no process gets a signal then.
# session.sh passes its process, its process group and its container in the environment.
# shellcheck shell=sh
trap '' HUP INT TERM
: "${session?}" "${group?}" "${container?}"

# Find the sshd process of this connection, and the connection's ports (its own, ours): it is the first ancestor without
# SSH_CONNECTION above one that has it. sudo hides the variable from the processes between.
found='' server='' pid=$session
while [ "${pid:-0}" -gt 1 ]; do
    connection=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p')
    if [ -n "$connection" ]; then found=$connection; elif [ -n "$found" ]; then server=$pid && break; fi
    pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
done
# shellcheck disable=SC2086 # its four words
set -- $found

# Return whether the laptop is still there: it sends something every ten seconds. sshd notices a dead link after hours.
there() {
    silent=$(ss -Htni "sport = :$4 and dport = :$2" | tr ' ' '\n' | sed -n 's/^lastrcv://p; s/^lastack://p' | sort -n | head -n 1)
    [ "${silent:-0}" -lt 60000 ]
}

rounds=0
while kill -s 0 "$session" && { [ -z "$server" ] || { kill -s 0 "$server" && there "$@"; }; }; do
    sleep 1
done
# More than once: a process may just be starting.
while [ "$rounds" -lt 3 ]; do
    kill -s TERM -- "-$group"
    if [ -n "$container" ]; then docker stop -t 10 "$container" && docker rm -f "$container"; fi
    sleep 1
    rounds=$((rounds + 1))
done
kill -s KILL -- "-$group"
[ -z "$container" ] || docker rm -f "$container"
