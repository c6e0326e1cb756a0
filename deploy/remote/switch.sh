#!/bin/sh
# Makes a release the live one by renaming "current", and proves it through Nginx; on failure the one before is back.
#   switch.sh ROOT ID SITE STATUS_PORT PROVE HOST PATH STATIC_URL
# PROVE: no where Nginx doesn't know the site yet. STATIC_URL: empty where Nginx serves no static files.
. "$PORTSIDE/remote/lib.sh"
root=$1 id=$2 site=$3 port=$4 prove=$5 host=$6 path=$7 static=$8
before=$(readlink "$root/current")

# From here on it is one that comes back after a reboot, or a reboot in the middle would find nothing.
come_back() {
    ids=$(docker ps -q --filter "label=portside.site=$site" --filter "label=portside.release=$id" --filter label=portside.role=web)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker update --restart unless-stopped $ids >/dev/null
}

point() { ln -sfn "$1" "$root/current.new" && mv -fT "$root/current.new" "$root/current"; }

curl() { command curl -s --noproxy '*' --max-time 15 -H "User-Agent: Portside" "$@"; }

# Asks Nginx for a path of the site and prints the status.
ask() { curl -o /dev/null -w '%{http_code}' -H "Host: $host" "http://127.0.0.1$1"; }

proved() {
    [ "$(curl "http://127.0.0.1:$port/release/$site")" = "$id" ] || { echo "Nginx doesn't serve this release."; return 1; }
    status=$(ask "$path")
    case $status in [123]??) ;; *) echo "Through Nginx $path answers $status."; return 1 ;; esac
    [ -n "$static" ] || return 0
    file=$(cd "$root/current/static/" && find . -type f ! -name '*.gz' ! -path '*/.*' | grep -E '^[A-Za-z0-9._/-]+$' | head -n 1)
    [ -n "$file" ] || return 0
    status=$(ask "$static${file#./}")
    [ "$status" = 200 ] || { echo "Through Nginx the static file $static${file#./} answers $status."; return 1; }
}

come_back || exit 1
point "releases/$id"
[ "$prove" = yes ] || exit 0
proved && exit 0
if [ -n "$before" ] && [ "$before" != "releases/$id" ]; then
    point "$before"
    die "The release before, ${before##*/}, is live again."
fi
rm -f "$root/current"
die "No release is live."
