#!/bin/sh
# Visit each web container of a started release like a browser, on its own port, until all are healthy. Then visit again for
# a few seconds, since an application can die after its first answers.
# again: the number of further visits, one a second. protocol: http or uwsgi. $PORTSIDE_FILES: gate.py and its imports,
# nginx.json (see visit.py) and cause.py. Answers with where the visit led.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${url?}" "${seconds?}" "${again?}" "${protocol?}"
. "$PORTSIDE/remote/cause.sh"
scheme=${url%%:*} rest=${url#*://}
host=${rest%%/*}
path=${rest#"$host"}
ports=$(ports "$(dirname "$compose")")
replicas=$(printf '%s\n' "$ports" | wc -l)
seen=$PORTSIDE/seen
mkdir -p "$seen"

# Return whether all answer 2xx, as usual: then there is no redirect to follow, and curl starts faster than Python.
plain() {
    [ "$protocol" = http ] || return
    for port in $ports; do
        status=$(curl -s --noproxy '*' --max-time 15 -o /dev/null -w '%{http_code}' -A Portside -H "Host: $host" \
            -H "X-Forwarded-Proto: $scheme" -H "X-Forwarded-For: 127.0.0.1" -H "X-Real-IP: 127.0.0.1" \
            "http://127.0.0.1:$port$path")
        case $status in 2??) ;; *) return 1 ;; esac
    done
}

# visit SECONDS: visits until all are healthy; without SECONDS, once
visit() {
    # shellcheck disable=SC2086
    python3 -S -B "$PORTSIDE_FILES/gate.py" "$seen" "$compose" "$url" "$1" "$protocol" $ports || refuse
}

found() { cat "$seen/$1" 2>/dev/null; }

refuse() {
    [ -f "$seen/why" ] || die "The new release can't be checked."
    name=$(found name)
    cause=$([ ! -f "$seen/request" ] || cause "$compose" "$seen/request")
    log_end "$compose" "$(found log)" "$cause" "$name"
    [ ! -s "$seen/answer" ] || { echo "The answer begins:"; found answer; echo; }
    [ ! -s "$seen/way" ] || { found way; echo; }
    [ -z "$cause" ] || printf '%s\n' "$cause"
    [ "$replicas" -eq 1 ] || die "The new release isn't healthy: $name: $(found why)"
    die "The new release isn't healthy: $(found why)"
}

if plain; then look=plain; else
    look=visit
    visit "$seconds"
fi
for _ in $(seq "$again"); do
    sleep 1
    [ $look = plain ] && plain && [ -z "$(fallen "$compose" "$replicas")" ] && continue
    visit ""
    case $look$status in plain[45]?? | plain000) die "The new release isn't healthy: it answers $status at $path intermittently." ;; esac
done
answer "$(found well || echo '{"way": [], "elsewhere": ""}')"
unchanged "it only asks"
