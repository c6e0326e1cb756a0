# Set variables from a script's arguments, which are words of the form NAME=VALUE.
#   . "$PORTSIDE/remote/arguments.sh"
#   : "${root?}" "${site?}"          the names that the script takes; it fails if one is missing
# One of them may be a list, with a word for each value. The values become "$@", which is empty otherwise:
#   list=ids . "$PORTSIDE/remote/arguments.sh"
# tests/house/test_arguments.py compares these names with those that the steps pass.
# shellcheck shell=sh
for WORD in "$@"; do
    shift
    NAME=${WORD%%=*}
    case $NAME in
    "$WORD" | "" | *[!a-z_]*) echo "Not an argument: $NAME"; exit 2 ;;
    "${list:-}") set -- "$@" "${WORD#*=}" ;;
    *) eval "$NAME=\${WORD#*=}" ;; # evaluates only the name, never the value
    esac
done
unset WORD NAME
