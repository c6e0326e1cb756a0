#!/bin/sh
# Remove a site that has its final backup and that Nginx doesn't serve any more: containers, volumes, network, images,
# certificates, files. Each part can be repeated. The site's record goes last, so that an interrupted removal can resume.
# trial: see issue.sh. renewal: the renewal's settings for the files in authorities. live: the link to one of generations.
# access_log, error_log: removed with their rotated files. paths: files and folders of the site.
. "$PORTSIDE/remote/lib.sh"
list=paths . "$PORTSIDE/remote/arguments.sh"
: "${site?}" "${root?}" "${record?}" "${marker?}" "${trial?}" "${renewal?}" "${authorities?}" "${generations?}" \
    "${live?}" "${access_log?}" "${error_log?}"
umask 022

containers() { docker ps -aq --filter "label=portside.site=$site"; }

in_docker() {
    case $(command -v docker) in /*) ;; *) return 0 ;; esac
    containers | xargs -r docker rm -f -v >/dev/null &&
        docker volume ls -q --filter "label=portside.site=$site" | xargs -r docker volume rm >/dev/null &&
        docker network ls -q --filter "label=portside.site=$site" | xargs -r docker network rm >/dev/null &&
        docker images --format '{{.Repository}}:{{.Tag}}' --filter "reference=portside/$site" | xargs -r docker image rm -f >/dev/null &&
        docker image prune -af --filter "label=portside.site=$site" >/dev/null
}

# certbot itself doesn't wait for another certbot process.
forget() {
    limit=$(($(now) + 300))
    while [ -f "/etc/letsencrypt/renewal/$1.conf" ]; do
        said=$(certbot delete --non-interactive --cert-name "$1" 2>&1) && continue
        case $said in *"Another instance of Certbot is already running"*) ;; *) end_with "$said" ;; esac
        [ "$(now)" -lt "$limit" ] || die "Another certbot process has been running for 5 minutes."
        sleep 1
    done
    rm -rf "/etc/letsencrypt/live/${1:?}" "/etc/letsencrypt/archive/${1:?}"
}

# If these settings named no file, certbot could renew no site's certificate.
renew_without() {
    [ -f "$renewal" ] || return 0
    for authority in "$authorities"/*.pem; do
        [ ! -f "$authority" ] || return 0
    done
    rm -f "$renewal" && systemctl daemon-reload
}

# The previous generations still have the site's files.
forget_generations() {
    served=$(readlink "$live") || return 0
    for folder in "$generations"/*; do
        [ "$folder" = "$served" ] || rm -rf "$folder"
    done
}

in_docker || die "Docker can't remove all of the site."
exec 8>/run/portside/certbot.lock 9>/run/portside/server.lock
flock -w 900 8 || die "certbot has been busy for 15 minutes."
forget "$site"
forget "$trial"
flock -w 900 9 || die "Another deploy has kept Nginx busy for 15 minutes."
for log in "$access_log" "$error_log"; do
    rm -f "$log" "$log".* "$log"-*
done
rm -rf "$@" && renew_without && forget_generations || exit 1
exec 8>&- 9>&-
[ ! -d "$root" ] ||
    { find "$root" -mindepth 1 -maxdepth 1 ! -path "$record" ! -path "$marker" -exec rm -rf {} + && rm -f "$record" && rm -rf "$root"; } ||
    exit 1
# A run that holds the site's lock removes its files at its end. If the laptop is gone, do it here.
lock=/run/portside/site-$site
exec 9>"$lock.lock"
! flock -n 9 || rm -f "$lock".[!l]* "$lock.lock"
