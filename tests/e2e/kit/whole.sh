#!/bin/sh
# Says, a line each, what isn't as it should be once a site's deploy has ended: locks, and what is half-done.
#   whole.sh SITE
site=$1
cd "/srv/portside/$site" || exit 1
live=$(readlink current)
live=${live#releases/}
locks=/run/portside
[ ! -e "$locks/site-$site.holder" ] || echo "somebody holds the lock: $(cat "$locks/site-$site.holder")"
for lock in "site-$site.lock" "site-$site.work" server.lock; do
    [ ! -e "$locks/$lock" ] || flock -n "$locks/$lock" true || echo "$lock is held"
done
[ -f "releases/$live/release.json" ] || echo "the live release $live has no record"
for folder in releases/*/; do
    [ -f "${folder}release.json" ] || echo "$folder has no record"
    [ ! -e "${folder}pending.json" ] || echo "$folder is pending"
done
docker ps -a --filter "label=portside.site=$site" \
    --format '{{.Label "portside.role"}},{{.Label "portside.release"}},{{.State}}' | while IFS=, read -r role id state; do
    case $role in
    db) [ "$state" = running ] || echo "the database is $state" ;;
    web)
        [ -d "releases/$id" ] || echo "a container of $id, which isn't there"
        case $id,$state in
        "$live",running) ;;
        "$live",*) echo "the live release is $state" ;;
        *,running | *,restarting) echo "$id runs beside the live release" ;;
        esac
        ;;
    *) echo "a container for a single command is left: $role of $id" ;;
    esac
done
for container in $(docker ps -q --filter "label=portside.site=$site" --filter label=portside.role=web); do
    policy=$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$container")
    [ "$policy" = unless-stopped ] || echo "after a reboot the live release wouldn't come back: $policy"
done
docker images --filter "label=portside.site=$site" --filter dangling=false --format '{{.Tag}}' | while read -r id; do
    [ -d "releases/$id" ] || echo "an image of $id, which isn't there"
done
[ -z "$(docker images -q --filter "label=portside.site=$site" --filter dangling=true)" ] || echo "an image without a name"
[ "$(find /etc/nginx/portside.d -mindepth 1 -maxdepth 1 | wc -l)" -le 2 ] || echo "more than two generations"
find /etc/nginx /srv/portside -maxdepth 2 -name '*.new'
find /run /var/tmp -maxdepth 1 -name 'portside.*'
systemctl list-units --all --plain --no-legend 'portside-????????????????.service'
echo "looked everywhere"
