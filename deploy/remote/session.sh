# Run an interactive command, and leave nothing of it behind.
#   session END CONTAINER WORD...     END: the text of session-end.sh. CONTAINER: the container it creates, or empty.
# This script is sent as the words of a command, since its input is the user's.
# shellcheck shell=sh
end=$1 container=$2
shift 2
group=$(cut -d ' ' -f 5 "/proc/$$/stat") # now: a process that is killed at once has none later
# In a separate session: if the connection is lost, sudo may kill all processes of this one.
session=$$ group=$group container=$container setsid sh -c "$end" session-end </dev/null >/dev/null 2>&1 &
trap : INT QUIT TERM # end when the command ends
"$@"
