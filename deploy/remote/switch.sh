#!/bin/sh
# Makes a release the live one by renaming "current", between two generations of Nginx's files where they change, and
# proves it through Nginx. One transaction: on any failure "current" and Nginx's files are as before. Each part of it can be
# repeated.
#   switch.sh ROOT SITE ID OLD STATUS_PORT PAGE BEFORE BRIDGE FINAL SCHEME HOST PATH STATIC_URL SECONDS READING
# OLD: the release of before, or empty. BRIDGE: the generation that serves both releases, FINAL: the one of the new
# release, each empty where what is live will do; BEFORE: the one they were planned upon. STATIC_URL: empty where Nginx
# serves no static files. SECONDS: how long the release may still be starting. READING: how many seconds are given to what
# Nginx's workers of before are still reading, where their files lead it to nobody. PAGE and $PORTSIDE_FILES: see
# generation.sh; visit.py, nginx.json and cause.py besides.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/cause.sh"
# shellcheck disable=SC2034 # $page is for generation.sh
root=$1 site=$2 id=$3 old=$4 status_port=$5 page=$6
shift 6
before=$1 bridge=$2 final=$3 scheme=$4 host=$5 path=$6 static=$7 seconds=$8 reading=$9
. "$PORTSIDE/remote/generation.sh"
compose=$root/releases/$id/compose.yaml
request=$PORTSIDE/request # whose answer was an error

# From here on it is one that comes back after a reboot, or a reboot in the middle would find nothing. What a power cut has
# stopped starts.
come_back() {
    ids=$(docker ps -aq --filter "label=portside.site=$site" --filter "label=portside.release=$id" --filter label=portside.role=web)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || { docker update --restart unless-stopped $ids && docker start $ids; } >/dev/null
}

# All that the release is made of is on the disk before it is live, so that it comes back after a power cut too. Where
# somebody else keeps the disk busy, half a minute is given to it; nothing ends a sync that is under way.
put_on_disk() {
    sync -f "$root" /var/lib/docker >/dev/null 2>&1 &
    limit=$(($(now) + 30))
    while kill -s 0 $! 2>/dev/null && [ "$(now)" -lt "$limit" ]; do sleep 0.02; done
}

point() { ln -sfn "$1" "$root/current.new" && mv -fT "$root/current.new" "$root/current"; }

ask() { curl -s --noproxy '*' --max-time 15 -H "User-Agent: Portside" "$@"; }

# The status of a path of the site, through Nginx, by its name and as a visitor comes. Whether a browser would take the
# certificate isn't a question of this release.
status() {
    ask -k -o /dev/null -w '%{http_code}' --resolve "$host:80:127.0.0.1" --resolve "$host:443:127.0.0.1" "$scheme://$host$1"
}

live() { ask "http://127.0.0.1:$status_port/release/$site"; }

# What is wrong with the release as Nginx serves it, or nothing.
fault() {
    rm -f "$request"
    [ "$(live)" = "$id" ] || { echo "Nginx doesn't serve this release."; return; }
    # Most pages need no redirect followed, and curl starts faster than Python.
    case $(status "$path") in
    2??) ;;
    *) python3 -S -B "$PORTSIDE_FILES/visit.py" "$PORTSIDE_FILES/nginx.json" "$scheme://$host$path" "$request" 2>&1 || return 0 ;;
    esac
    [ -n "$static" ] || return 0
    file=$(cd "$root/current/static/" && find . -type f ! -name '*.gz' ! -name '*.br' ! -path '*/.*' \
        -regextype posix-extended -regex '[A-Za-z0-9._/-]+' -print -quit)
    [ -n "$file" ] || return 0
    status=$(status "$static${file#./}")
    [ "$status" = 200 ] || echo "Through Nginx the static file $static${file#./} answers $status."
}

proved() {
    limit=$(($(now) + seconds))
    while why=$(fault) && [ -n "$why" ]; do
        [ "$(now)" -lt "$limit" ] || { echo "$why"; return 1; }
        sleep 0.2
    done
}

# What the application says of its error.
explain() {
    [ -f "$request" ] && [ -f "$compose" ] || return 0
    cause=$(cause "$compose" "$request")
    log_end "$compose" 20 "$cause"
    printf '%s\n' "$cause"
}

undo() {
    [ -z "$old" ] || point "releases/$old"
    [ -z "$bridge$final" ] || put_back
    [ -n "$old" ] || rm -f "$root/current"
    explain # once visitors are answered as before
    [ -n "$old" ] || die "No release is live."
    [ "$(live)" = "$old" ] || die "current names the release before, $old, again; but Nginx doesn't serve it."
    die "The release before, $old, is live again."
}

come_back || exit 1
put_on_disk
[ -z "$bridge$final" ] || begin "$before"
[ -z "$bridge" ] || { put "$bridge" && retired "$reading"; } || undo
point "releases/$id" || undo
if [ -n "$final" ]; then
    # Before a first one, Nginx doesn't know the site.
    [ -z "$old" ] || proved || undo
    put "$final" || undo
fi
proved || undo
[ -z "$bridge$final" ] || { retired "$reading"; tidy; }
