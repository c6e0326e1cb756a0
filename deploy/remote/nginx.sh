#!/bin/sh
# Puts a generation of Nginx's files live, or leaves the previous one: assembled beside it, tested whole, renamed,
# reloaded, proved to serve.
#   nginx.sh GENERATION BEFORE STATUS_PORT PAGE
# BEFORE: the live generation when this was planned, or empty. PAGE: the distribution's default page, to be taken away,
# or empty.
# Exit code 76, having changed nothing, where another one is live by now. Holds the server's lock while it works.
# $PORTSIDE_FILES: new/ (the files), kept (paths to take over from the live generation), main (nginx.conf)
. "$PORTSIDE/remote/lib.sh"
generation=$1
port=$3
generations=/etc/nginx/portside.d
link=/etc/nginx/portside
conf=/etc/nginx/nginx.conf
page=$4
wanted=$generations/$generation
exec 9>/run/portside/server.lock
flock -w 900 9 || die "Another deploy has kept Nginx busy for 15 minutes."
before=$(readlink "$link")
if [ "${before##*/}" != "$2" ]; then
    echo "Another deploy changed Nginx's files in the meantime."
    exit 76
fi

assemble() {
    [ "$before" = "$wanted" ] && return
    rm -rf "$wanted.new" "$wanted"
    mkdir -p "$wanted.new/sites" || return 1
    while IFS= read -r path; do
        cp "$link/$path" "$wanted.new/$path" || return 1
    done <"$PORTSIDE_FILES/kept"
    cp -R "$PORTSIDE_FILES/new/." "$wanted.new/" || return 1
    # shellcheck disable=SC2016
    printf 'map "" $portside_generation {\n    default "%s";\n}\n' "$generation" >"$wanted.new/generation.conf"
    chmod -R u=rwX,go=rX "$wanted.new" && mv "$wanted.new" "$wanted"
}

# In place, without touching what is live: in a mount namespace of its own, the candidate lies over the live files.
test_candidate() {
    [ -n "$before" ] || ln -s "$wanted" "$link" || return 1
    [ -s /run/nginx.pid ] || no_pid=1
    # shellcheck disable=SC2016
    unshare -m sh -c '
        mount --make-rprivate / &&
        mount --bind "$1" /etc/nginx/nginx.conf &&
        { [ "$2" = "$3" ] || mount --bind "$2" "$3"; } &&
        { [ -z "$4" ] || [ ! -e "$4" ] || mount --bind /dev/null "$(readlink -f "$4")"; } &&
        nginx -t' portside "$PORTSIDE_FILES/main" "$wanted" "$(readlink -f "$link")" "$page"
    code=$?
    # nginx -t leaves an empty pid file where no nginx runs, over which systemd stumbles.
    [ -z "${no_pid:-}" ] || [ -s /run/nginx.pid ] || rm -f /run/nginx.pid
    [ "$code" -eq 0 ] || [ -n "$before" ] || rm -f "$link"
    return "$code"
}

point() { ln -sfn "$1" "$link.new" && mv -fT "$link.new" "$link"; }

install_main() {
    cmp -s "$PORTSIDE_FILES/main" "$conf" && return
    cp -p "$conf" "$conf.before-portside" && cp "$PORTSIDE_FILES/main" "$conf.new" && chmod 644 "$conf.new" &&
        mv -f "$conf.new" "$conf" && main_installed=1
}

# Nginx's workers that accept connections. One that a reload has retired says so in its title.
workers() {
    master=$(cat /run/nginx.pid 2>/dev/null) || return 0
    # shellcheck disable=SC2013
    for pid in $(cat "/proc/$master/task/$master/children" 2>/dev/null); do
        case $(tr -d '\0' <"/proc/$pid/cmdline" 2>/dev/null) in *"worker process") echo "$pid" ;; esac
    done
}

reload() {
    workers_before=$(workers)
    if systemctl is-active --quiet nginx; then systemctl reload nginx; else systemctl start nginx; fi
}

# A reload returns before its workers serve, and a failed one says nothing: ask until the answer is the wanted one,
# and until no worker of before accepts connections any more: for a moment both do.
proved() {
    limit=$(($(now) + 15))
    until [ "$(curl -s --noproxy '*' --max-time 2 "http://127.0.0.1:$port/generation")" = "$1" ] &&
        ! workers | grep -qxF "${workers_before:-none}"; do
        [ "$(now)" -lt "$limit" ] || return 1
        sleep 0.05
    done
}

back() {
    [ -z "${main_installed:-}" ] || mv -f "$conf.before-portside" "$conf"
    [ -z "${page_target:-}" ] || ln -sfn "$page_target" "$page"
    if [ -n "$before" ]; then point "$before"; else rm -f "$link"; fi
    reload
    echo "Nginx doesn't serve generation $generation; the one before is put back."
    journalctl -u nginx -n 10 --no-pager -o cat
    [ -z "$before" ] || proved "${before##*/}" || echo "Nginx doesn't answer with the one before either: look at journalctl -u nginx"
    exit 1
}

assemble || die "The new files can't be written."
if ! test_candidate; then
    [ "$before" = "$wanted" ] || rm -rf "$wanted"
    die "Nginx refuses the new files; the live ones are untouched."
fi
point "$wanted"
install_main || back
if [ -n "$page" ] && [ -L "$page" ]; then
    page_target=$(readlink "$page")
    rm -f "$page"
fi
{ reload && proved "$generation"; } || back
for old in "$generations"/*; do
    [ "$old" = "$wanted" ] || [ "$old" = "$before" ] || rm -rf "$old"
done
exit 0
