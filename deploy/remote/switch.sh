#!/bin/sh
# Make a release live by renaming "current", between two generations of Nginx's files if they change, and check it through
# Nginx. This is one transaction: on any failure "current" and Nginx's files are restored. Each part can be repeated.
# old: the previous release, or empty. bridge: the generation that serves both releases. final: the generation of the new
# release. Both are empty if the live generation will do. before: the live generation at the time of planning. static_url:
# empty if Nginx serves no static files. seconds: how long the release may still be starting. reading: seconds to wait for
# requests that Nginx's old workers are still reading, if their files lead to no release. page and $PORTSIDE_FILES: see
# generation.sh; also visit.py, nginx.json and cause.py.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${root?}" "${site?}" "${id?}" "${old?}" "${status_port?}" "${page?}" "${before?}" "${bridge?}" "${final?}" \
    "${scheme?}" "${host?}" "${health_path?}" "${static_url?}" "${seconds?}" "${reading?}"
. "$PORTSIDE/remote/cause.sh"
. "$PORTSIDE/remote/generation.sh"
compose=$root/releases/$id/compose.yaml
request=$PORTSIDE/request # the request that failed

# From here on its containers restart after a reboot, even one in the middle of the switch. Starts those that a power failure
# has stopped.
enable_restarts() {
    ids=$(docker ps -aq --filter "label=portside.site=$site" --filter "label=portside.release=$id" --filter label=portside.role=web)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || { docker update --restart unless-stopped $ids && docker start $ids; } >/dev/null
}

# Write the release to the disk before it is live, so that it survives a power failure. Other processes may keep the disk
# busy, so this waits half a minute at most; the sync itself continues.
sync_release() {
    sync -f "$root" /var/lib/docker >/dev/null 2>&1 &
    limit=$(($(now) + 30))
    while kill -s 0 $! 2>/dev/null && [ "$(now)" -lt "$limit" ]; do sleep 0.02; done
}

point() { ln -sfn "$1" "$root/current.new" && mv -fT "$root/current.new" "$root/current"; }

ask() { curl -s --noproxy '*' --max-time 15 -H "User-Agent: Portside" "$@"; }

# Print the status of a path of the site, as a visitor gets it through Nginx. Whether a browser trusts the certificate doesn't
# matter here.
status() {
    ask -k -o /dev/null -w '%{http_code}' --resolve "$host:80:127.0.0.1" --resolve "$host:443:127.0.0.1" "$scheme://$host$1"
}

live() { ask "http://127.0.0.1:$status_port/release/$site"; }

# Print what is wrong with the release as Nginx serves it, or nothing.
fault() {
    rm -f "$request"
    [ "$(live)" = "$id" ] || { echo "Nginx doesn't serve this release."; return; }
    # Most pages don't redirect, and curl starts faster than Python.
    case $(status "$health_path") in
    2??) ;;
    *) python3 -S -B "$PORTSIDE_FILES/visit.py" "$PORTSIDE_FILES/nginx.json" "$scheme://$host$health_path" "$request" 2>&1 || return 0 ;;
    esac
    [ -n "$static_url" ] || return 0
    file=$(cd "$root/current/static/" && find . -type f ! -name '*.gz' ! -name '*.br' ! -path '*/.*' \
        -regextype posix-extended -regex '[A-Za-z0-9._/-]+' -print -quit)
    [ -n "$file" ] || return 0
    status=$(status "$static_url${file#./}")
    [ "$status" = 200 ] || echo "Through Nginx the static file $static_url${file#./} answers $status."
}

proved() {
    limit=$(($(now) + seconds))
    while why=$(fault) && [ -n "$why" ]; do
        [ "$(now)" -lt "$limit" ] || { echo "$why"; return 1; }
        sleep 0.2
    done
}

# Print the application's own error.
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
    explain # after visitors are served as before
    [ -n "$old" ] || die "No release is live."
    [ "$(live)" = "$old" ] || die "current points to the previous release, $old, again, but Nginx doesn't serve it."
    die "The previous release, $old, is live again."
}

enable_restarts || exit 1
sync_release
[ -z "$bridge$final" ] || begin "$before"
[ -z "$bridge" ] || { put "$bridge" && retired "$reading"; } || undo
point "releases/$id" || undo
if [ -n "$final" ]; then
    # Before a first release, Nginx doesn't know the site.
    [ -z "$old" ] || proved || undo
    put "$final" || undo
fi
proved || undo
[ -z "$bridge$final" ] || { retired "$reading"; tidy; }
