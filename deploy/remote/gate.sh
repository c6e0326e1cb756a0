#!/bin/sh
# Visits a started release as a browser does, each of its web containers on its own port, until it is healthy; and again
# for a few seconds, since an application can die after its first answers.
#   gate.sh COMPOSE URL SECONDS AGAIN PROTOCOL
# AGAIN: so many times more, a second apart, once it is healthy; PROTOCOL: http or uwsgi. $PORTSIDE_FILES: gate.py and
# what it imports, nginx.json (see visit.py) and cause.py. Answers with where the visit led.
. "$PORTSIDE/remote/lib.sh"
compose=$1 url=$2 seconds=$3 again=$4 protocol=$5
seen=$PORTSIDE/seen
mkdir -p "$seen"

found() { cat "$seen/$1" 2>/dev/null; }

# The cause of an error: the page asked for once more, in the release's image.
cause() {
    cp "$seen/request" "$PORTSIDE_FILES/request" && chmod 644 "$PORTSIDE_FILES/request" || return
    said=$(manage "$compose" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage python /portside/ask/cause.py \
        /portside/ask/request </dev/null 2>&1)
    marked=$(printf '%s\n' "$said" | sed -n 's/^portside-cause://p')
    [ -n "$marked" ] || { echo "The page can't be asked for in a container of its own:"; printf '%s\n' "$said" | tail -n 12; return; }
    printf '%s\n' "$marked"
}

# What was asked again and again says the same in the log as often: of equal lines one is enough.
refuse() {
    name=$(found name)
    log=$(docker compose -f "$compose" logs --no-color --no-log-prefix --tail 300 "$name" | uniq | tail -n "$(found log)")
    [ -z "$log" ] || printf 'Its log ends:\n%s\n' "$log"
    [ ! -s "$seen/answer" ] || { echo "Its answer begins:"; found answer; echo; }
    [ ! -s "$seen/way" ] || { found way; echo; }
    [ ! -f "$seen/request" ] || cause
    # shellcheck disable=SC2086
    [ $# -eq 1 ] || die "The new release isn't healthy: $name: $(found why)"
    die "The new release isn't healthy: $(found why)"
}

# shellcheck disable=SC2046
set -- $(ports "$(dirname "$compose")")
python3 -S -B "$PORTSIDE_FILES/gate.py" "$seen" "$compose" "$url" "$seconds" "$again" "$protocol" "$@" ||
    { [ ! -f "$seen/why" ] || refuse "$@"; die "The release can't be asked."; }
answer "$(found well)"
unchanged "it only asks"
