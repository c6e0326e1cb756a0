# Makes variables of a script's arguments, which are words of the form NAME=VALUE.
#   . "$PORTSIDE/remote/arguments.sh"
#   : "${root?}" "${site?}"          the names that the script takes, all of which must be given
# One of them may be a list, each of its values a word of its own. They become "$@", which is empty otherwise:
#   list=ids . "$PORTSIDE/remote/arguments.sh"
# tests/house/test_arguments.py compares these names with those that the steps give.
# shellcheck shell=sh
for WORD in "$@"; do
    shift
    NAME=${WORD%%=*}
    case $NAME in
    "$WORD" | "" | *[!a-z_]*) echo "That isn't an argument: $NAME"; exit 2 ;;
    "${list:-}") set -- "$@" "${WORD#*=}" ;;
    *) eval "$NAME=\${WORD#*=}" ;; # only the name is evaluated, never the value
    esac
done
unset WORD NAME
