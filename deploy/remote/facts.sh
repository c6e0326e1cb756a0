#!/bin/sh
# Print all that a plan needs to know about the server and one site on it, as lines of "key<TAB>value".
# paths: files whose mode, owner and SHA-256 are printed.
# Read-only. Free text is base64.
. "$PORTSIDE/remote/lib.sh"
list=paths . "$PORTSIDE/remote/arguments.sh"
: "${site?}"
root=/srv/portside/$site

fact() { printf '%s\t%s\n' "$1" "$2"; }
encoded() { base64 -w0; }
# Return whether a program is installed. A shell function doesn't count.
has() { case $(command -v "$1") in /*) ;; *) return 1 ;; esac }

# Print sshd's port: the fourth word of SSH_CONNECTION, which sudo removes from this environment.
ssh_port() {
    pid=$$
    while [ "${pid:-0}" -gt 1 ]; do
        port=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=[^ ]* [^ ]* [^ ]* //p')
        [ -z "$port" ] || { echo "$port"; return; }
        pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
    done
}

host_facts() {
    # shellcheck source=/dev/null
    (. /etc/os-release && fact os.id "$ID" && fact os.version "${VERSION_ID:-}" && fact os.name "$PRETTY_NAME")
    fact clock "$(date -u +%Y%m%d-%H%M%S)"
    fact arch "$(dpkg --print-architecture)"
    fact cores "$(nproc)"
    # In kilobytes: df of uutils has no option for another unit.
    fact disk "$(df -Pk / /var /srv /var/lib/docker 2>/dev/null | awk 'NR > 1 && (min == "" || $4 < min) {min = $4} END {print int(min / 1024)}')"
    systemctl show -p Id -p UnitFileState nginx.service docker.service portside-guard.service certbot.timer |
        awk -F= '$1 == "Id" {id = $2} $1 == "UnitFileState" && $2 ~ /^(disabled|masked)/ {print "unit.disabled\t" id}'
    awk '$1 == "MemTotal:" {print "memory\t" int($2 / 1024)} $1 == "SwapTotal:" {print "swap\t" int($2 / 1024)}' /proc/meminfo
    fact ipv6 "$([ -f /proc/net/if_inet6 ] && echo yes || echo no)"
    fact systemd "$([ -d /run/systemd/system ] && echo yes || echo no)"
    fact ssh.port "$(ssh_port)"
    dpkg-query -W -f '${Package}\t${db:Status-Abbrev}\n' nginx libnginx-mod-http-brotli-static docker.io docker-ce docker-cli docker-compose \
        docker-compose-v2 docker-compose-plugin docker-buildx docker-buildx-plugin certbot ufw curl iptables logrotate \
        'python3-certbot-dns-*' \
        2>/dev/null | awk -F '\t' '$2 ~ /^ii/ {print "package\t" $1}'
    fact portside.version "$(cat /var/lib/portside/version 2>/dev/null)"
    ss -Hlntup | awk '{print "listener\t" $1 " " $5 " " $7}'
    # Also before Docker is installed: an existing file is kept.
    [ -f /etc/docker/daemon.json ] && fact docker.json "$(encoded </etc/docker/daemon.json)"
    firewall_facts
}

# Read ufw's own files, since each call of ufw takes a tenth of a second. Of the rules, only those for any address.
firewall_facts() {
    has ufw || return 0
    fact ufw "$(iptables -w -n -L ufw-user-input >/dev/null 2>&1 && echo active || echo inactive)"
    [ ! -e /var/lib/portside/firewall ] || fact ufw.ours yes
    sed -n -E 's!^### tuple ### ([a-z]+) (tcp|udp) ([0-9]+) 0\.0\.0\.0/0 any 0\.0\.0\.0/0 in( comment=[0-9a-f]*)?$!ufw.rule\t\1 \3/\2\4!p' \
        /etc/ufw/user.rules
}

docker_facts() {
    has docker || return 0
    docker info --format '{{range .ClientInfo.Plugins}}{{if eq .Name "compose" "buildx"}}docker.{{.Name}}{{"\t"}}{{.Version}}{{"\n"}}{{end}}{{end}}{{
        "docker.version\t"}}{{.ServerVersion}}{{"\ndocker.live-restore\t"}}{{.LiveRestoreEnabled}}{{
        "\ndocker.swarm\t"}}{{.Swarm.LocalNodeState}}' 2>/dev/null
    docker images --filter "label=portside.site=$site" --filter dangling=false --format 'image\t{{.Repository}}:{{.Tag}}\nimage.size\t{{.Tag}} {{.Size}}' 2>/dev/null &&
        fact images.known yes
    volume_facts
}

# The database's volume, and whether its data is the database whose identifier data.sh recorded: the first number in
# pg_control, which is different for each new database.
volume_facts() {
    volume=$(docker volume inspect --format '{{.Mountpoint}}' "$site-postgres" 2>/dev/null) || return 0
    control=$(find "$volume" -maxdepth 4 -path '*/global/pg_control' -print -quit 2>/dev/null)
    noted=$(sed -n 2p "$root/data/ready" 2>/dev/null)
    if [ -z "$control" ]; then
        fact data.volume empty
    elif [ "$noted" ] && [ "$noted" != "$(od -An -tu8 -N8 "$control" | tr -d ' ')" ]; then
        fact data.volume new
    else
        fact data.volume yes
    fi
    fact database.size "$(find "$volume" -maxdepth 3 -name base -type d -exec du -sm {} + 2>/dev/null | cut -f1 | head -n 1)"
}

# Print the status that Nginx answers at the live release's health check, for a visitor; 000 if there is none in time.
# Follows a redirect to HTTPS at the same place. visit.py checks more.
answer_facts() {
    record=$root/current/release.json
    has curl && [ -f "$record" ] || return 0
    host=$(sed -n 's/^ *"domain": *"\(.*\)",*$/\1/p' "$record")
    path=$(sed -n 's/^ *"health_path": *"\(.*\)",*$/\1/p' "$record")
    [ "$host" ] && [ "$path" ] || return 0
    asked=$(look "http://$host$path")
    [ "${asked#* }" != "https://$host$path" ] || asked=$(look "${asked#* }")
    fact site.answer "${asked%% *}"
}

look() {
    curl -s -k --noproxy '*' --max-time 5 -A Portside -o /dev/null -w '%{http_code} %{redirect_url}' \
        --resolve "$host:80:127.0.0.1" --resolve "$host:443:127.0.0.1" "$1"
}

# The site's containers. Of those that run but were restarted: how often, how many seconds ago (-1: about to restart), the
# name, the end of the log, the command.
container_facts() {
    has docker || return 0
    all=$(docker ps -a --filter "label=portside.site=$site" --format '{{"container\t"}}{{json .}}' 2>/dev/null)
    [ -n "$all" ] || return 0
    printf '%s\n' "$all"
    printf '%s\n' "$all" | grep -E '"State":"(running|restarting)"' | sed -n 's/.*"ID":"\([0-9a-f]*\)".*/\1/p' |
        xargs -r docker inspect --format '{{.RestartCount}} {{.State.Pid}} {{.Name}} {{.Id}} {{json .Config.Cmd}}' 2>/dev/null |
        grep -v '^0 ' | while read -r count pid name id command; do
        fact container.restarted "$count $(ran "$pid") ${name#/} $(docker logs --tail 8 "$id" 2>&1 | tail -c 4000 | encoded) $command"
    done
}

# Return whether a file is unchanged from the distribution's package, by the checksum that dpkg recorded.
distribution_file() {
    [ "$(md5sum <"$1" | cut -d' ' -f1)" = "$(dpkg-query -W -f '${Conffiles}\n' nginx-common nginx 2>/dev/null |
        awk -v path="$1" '$1 == path {print $2; exit}')" ]
}

nginx_facts() {
    has nginx || return 0
    fact nginx.version "$(nginx -V 2>&1 | encoded)"
    fact nginx.active "$(systemctl is-active nginx)"
    # While Nginx is stopped, nginx -t would leave an empty pid file.
    [ ! -s /run/nginx.pid ] || fact nginx.broken "$(nginx -t 2>&1 | sed -n 's/^.*\[emerg\] \([0-9#]*: \)\{0,1\}//p' | head -n 1 | encoded)"
    fact nginx.conf "$(distribution_file /etc/nginx/nginx.conf && echo distribution || echo other)"
    live=$(readlink /etc/nginx/portside) && fact nginx.generation "${live##*/}"
    [ -z "$live" ] || (cd /etc/nginx/portside && find . -type f ! -name 'generation.*' -exec sha256sum {} + |
        sed 's/^\([0-9a-f]*\)  \.\//nginx.file\t\1 /'
        sed 's/^\([0-9a-f]*\)  \.\//nginx.written\t\1 /' generation.sums 2>/dev/null)
    fact nginx.settings "$(sed -n '/^# Settings: /{s///p;q}' "/etc/nginx/portside/sites/$site.conf" 2>/dev/null)"
    default=/etc/nginx/sites-available/default
    [ -e /etc/nginx/sites-enabled/default ] &&
        fact nginx.default "$([ "$(readlink -f /etc/nginx/sites-enabled/default)" = "$default" ] &&
            distribution_file "$default" && echo distribution || echo other)"
    grep -lsE '^[^#]*listen[^;]*default_server' /etc/nginx/sites-enabled/* /etc/nginx/conf.d/*.conf |
        sed 's/^/nginx.default_server\t/'
}

certificate_facts() {
    folder=/etc/portside/certificates/$site
    live=$(readlink "$folder/live") && fact tls.kind "${live%%-*}" && fact tls.live "$(encoded <"$folder/live/fullchain.pem")"
    issued=/etc/letsencrypt/live/$site/fullchain.pem
    [ -f "$issued" ] && fact tls.issued "$(encoded <"$issued")"
    renewal=/etc/letsencrypt/renewal/$site.conf
    fact tls.authority "$(sed -n 's/^server = //p' "$renewal" 2>/dev/null)"
    fact tls.authenticator "$(sed -n 's/^authenticator = //p' "$renewal" 2>/dev/null)"
    has certbot || return 0
    fact renewal.timer "$(systemctl is-active certbot.timer)"
    [ "$(systemctl show -p Result --value certbot.service)" = success ] ||
        fact renewal.failed "$(systemctl show -p InactiveEnterTimestamp --value certbot.service)"
}

# Print the run that holds the site's lock, as lock.sh recorded it, or a detached run. flock -s doesn't block other runs.
holder() {
    lock=/run/portside/site-$site
    if [ -s "$lock.holder" ] && ! flock -ns "$lock.lock" true; then
        cat "$lock.holder"
    elif [ -e "$lock.work" ] && ! flock -ns "$lock.work" true; then
        echo "the server finishes it on its own"
    fi
}

site_facts() {
    fact site.held "$(holder)"
    [ -f "$root/site.json" ] && fact site.record "$(encoded <"$root/site.json")"
    fact site.last "$(last_change "$root")"
    # One program reads all other records, however many there are.
    set --
    for record in /srv/portside/*/site.json; do
        [ ! -f "$record" ] || [ "$record" = "$root/site.json" ] || set -- "$@" "$record"
    done
    [ $# -eq 0 ] || fact site.others "$(tail -vn +1 "$@" | encoded)"
    live=$(readlink "$root/current") && fact site.current "${live##*/}"
    fact static.size "$(du -sm "$root/current/static/" 2>/dev/null | cut -f1)"
    [ ! -e "$root/migrating" ] || fact site.migrating yes
    [ ! -f "$root/maintenance/closed" ] || fact site.closed "$(grep . "$root/maintenance/closed" || echo yes)"
    fact site.dump "$(find "$root/backups" -regex '.*/[^/.]*\.dump' -printf '%TY-%Tm-%Td %TH:%TM UTC %f\n' 2>/dev/null | sort | tail -n 1)"
    [ ! -d "$root" ] || fact site.there yes
    # Data folders that the live release's containers mount.
    sed -n 's!.* source: "\('"$root"'/\(media\|volumes/[^"]*\)\)".*!\1!p' "$root/current/compose.yaml" 2>/dev/null | sort -u |
        while read -r folder; do [ -d "$folder" ] || fact data.lacking "$folder"; done
    [ ! -f "$root/removing" ] || fact site.removing "$(head -n 1 "$root/removing")"
    for kept in "/var/lib/portside/backups/$site"/*/; do
        [ ! -f "${kept}backup.json" ] || fact site.kept "${kept%/}"
    done
    for folder in "$root"/releases/*/; do
        [ -d "$folder" ] || continue
        name=${folder%/}
        [ ! -f "${folder}pending.json" ] || fact release.pending "${name##*/} $(encoded <"${folder}pending.json")"
        fact release "${name##*/} $([ -f "${folder}release.json" ] && encoded <"${folder}release.json")"
    done
}

file_facts() {
    sed 's/^/file.written\t/' /var/lib/portside/written 2>/dev/null
    for path in "$@"; do
        [ -e "$path" ] || continue
        fact file "$(stat -c '%a %u:%g' "$path") $([ -f "$path" ] && sha256sum <"$path" | cut -d' ' -f1 || echo -) $path"
    done
}

# Docker takes as long as all the rest, so it is asked in the background; so is Nginx, which takes longer with many sites.
docker_facts >"$PORTSIDE/docker.facts" &
container_facts >"$PORTSIDE/container.facts" &
nginx_facts >"$PORTSIDE/nginx.facts" &
answer_facts >"$PORTSIDE/answer.facts" &
host_facts
certificate_facts
site_facts
file_facts "$@"
wait
cat "$PORTSIDE/docker.facts" "$PORTSIDE/container.facts" "$PORTSIDE/nginx.facts" "$PORTSIDE/answer.facts"
exit 0
