# Runs a command that somebody at the laptop attends, and sees to it that nothing of it is left behind.
#   session END CONTAINER WORD...     END: the text of session-end.sh; CONTAINER: the name of the one it makes, or empty
# Travels as the words of a command, since its input is the user's.
# shellcheck shell=sh
end=$1 container=$2
shift 2
group=$(cut -d ' ' -f 5 "/proc/$$/stat") # now: what is killed at once has none any more
# In a session of its own: where the connection is lost, whoever made us root may kill all that is in this one.
setsid sh -c "$end" session-end $$ "$group" "$container" </dev/null >/dev/null 2>&1 &
trap : INT QUIT TERM # the command's own end is ours
"$@"
