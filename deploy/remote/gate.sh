#!/bin/sh
# Asks a started release as a visitor comes, each of its web containers on its own port, until it is well; and again for
# a few seconds, since an application can die after its first answers.
#   gate.sh COMPOSE HOST PATH SCHEME SECONDS AGAIN PROTOCOL
# AGAIN: so many times more, a second apart, once it is well; PROTOCOL: http or uwsgi. $PORTSIDE_FILES: uwsgi.py
. "$PORTSIDE/remote/lib.sh"
compose=$1 host=$2 path=$3 scheme=$4 seconds=$5 again=$6 protocol=$7
ports=$(ports "$(dirname "$compose")")
replicas=$(printf '%s\n' "$ports" | wc -l)
head=$PORTSIDE/head body=$PORTSIDE/body

# The status that the container at $port answers; 000 for none.
status() {
    if [ "$protocol" = uwsgi ]; then
        python3 "$PORTSIDE_FILES/uwsgi.py" "$port" "$host" "$path" "$scheme" "$head" "$body"
    else
        curl -s --noproxy '*' --max-time 15 -D "$head" -o "$body" -w '%{http_code}' -H "Host: $host" \
            -H "X-Forwarded-Proto: $scheme" -H "User-Agent: Portside" "http://127.0.0.1:$port$path"
    fi
}

# Asks the container at $port once; $why is what is wrong, or empty.
ask() {
    rm -f "$head" "$body"
    status=$(status)
    target=$(sed -n 's/^[Ll]ocation: *//p' "$head" 2>/dev/null | tr -d '\r')
    case $target in
    "$path" | "http://$host$path" | "https://$host$path")
        why="it redirects $path to $target, so a visitor would never arrive"
        [ "$scheme" = https ] || why="$why. There is no HTTPS yet: is SECURE_SSL_REDIRECT on? fab certs switches HTTPS on, before a first deploy too."
        return
        ;;
    esac
    case $status in
    [123]??) why= ;;
    000) why="it doesn't answer at $path" ;;
    *) why="it answers $status at $path" ;;
    esac
}

# Asks all of them, up to the first that isn't well: $name.
ask_all() {
    number=0
    for port in $ports; do
        number=$((number + 1)) name=web-$number
        ask
        [ -z "$why" ] || return 0
    done
}

alive() {
    ended=$(fallen "$compose" "$replicas" | head -n 1)
    name=${ended:-$name}
    [ -z "$ended" ]
}

# What was asked again and again says the same in the log as often: of equal lines one is enough.
refuse() {
    echo "Its log ends:"
    docker compose -f "$compose" logs --no-color --no-log-prefix --tail 300 "$name" | uniq | tail -n 18
    [ -z "$why" ] || [ ! -s "$body" ] || { echo "Its answer begins:"; head -c 600 "$body" | sed 's/<[^>]*>//g' | grep '[^[:space:]]' | head -8; }
    [ "$replicas" -eq 1 ] || die "The new release isn't well: $name: $1."
    die "The new release isn't well: $1."
}

limit=$(($(now) + seconds))
ask_all
while [ -n "$why" ]; do
    alive || refuse "it started and ended"
    [ "$(now)" -lt "$limit" ] || refuse "$why (asked for $seconds s, DEPLOY_HEALTH_TIMEOUT)"
    sleep 0.2
    ask_all
done
for _ in $(seq "$again"); do
    sleep 1
    ask_all
    alive || refuse "it ended after its first answers"
    [ -z "$why" ] || refuse "$why, after it had been well"
done
unchanged "it only asks"
