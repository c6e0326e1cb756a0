# Put a generation of Nginx's files live, and can restore the previous one. Read with: . "$PORTSIDE/remote/generation.sh"
# Needs $status_port; $page: the distribution's default page, which is removed, or empty.
# $PORTSIDE_FILES: main (nginx.conf); for each generation a folder with new/ (its files) and kept (paths to copy from the
# live generation).
# shellcheck shell=sh
# shellcheck disable=SC2154 # $status_port and $page
generations=/etc/nginx/portside.d
link=/etc/nginx/portside
conf=/etc/nginx/nginx.conf

# Take the server's lock until the script ends. Exits with 76 before any change if the live generation isn't the planned one
# (empty: none).
begin() {
    exec 9>/run/portside/server.lock
    flock -w 900 9 || die "Another deploy has kept Nginx busy for 15 minutes."
    origin=$(readlink "$link")
    [ "${origin##*/}" = "$1" ] || { echo "Another deploy changed Nginx's files in the meantime."; exit 76; }
}

# Put a generation live: assemble it beside the live one, test it whole, rename, reload, check that Nginx serves it. If this
# fails, the caller calls put_back.
put() {
    wanted=$generations/$1 previous=$(readlink "$link")
    assemble "$1" || { echo "The new files can't be written."; return 1; }
    if ! test_candidate; then
        [ "$wanted" = "$previous" ] || [ "$wanted" = "$origin" ] || rm -rf "$wanted"
        echo "Nginx refuses the new files."
        return 1
    fi
    touched=yes
    point_nginx "$wanted" && install_main && remove_page || return 1
    reload && serves "$1" && return
    echo "Nginx doesn't serve generation $1."
    journalctl -u nginx -n 10 --no-pager -o cat
    return 1
}

# Restore the generation that was live at the beginning, and check it.
put_back() {
    [ -n "${touched:-}" ] || { echo "Nginx's live files are untouched."; return; }
    [ -z "${main_installed:-}" ] || mv -f "$conf.before-portside" "$conf"
    [ -z "${page_target:-}" ] || ln -sfn "$page_target" "$page"
    if [ -n "$origin" ]; then point_nginx "$origin"; else rm -f "$link"; fi
    reload
    if [ -z "$origin" ] || serves "${origin##*/}"; then
        echo "Nginx's previous files are restored."
    else
        echo "Nginx's previous files are restored, but it doesn't answer with them either. See journalctl -u nginx"
    fi
}

# Keep only the live generation and the one from the beginning.
tidy() {
    served=$(readlink "$link")
    for folder in "$generations"/*; do
        [ "$folder" = "$served" ] || [ "$folder" = "$origin" ] || rm -rf "$folder"
    done
}

# Written to the disk before it is live: after a power failure Nginx would find empty files and serve no site.
assemble() {
    [ "$wanted" != "$previous" ] && [ "$wanted" != "$origin" ] || return 0
    rm -rf "$wanted.new" "$wanted"
    # The files include secrets: until these are protected, the folder is closed.
    mkdir -p "$generations" && mkdir -m 700 "$wanted.new" && mkdir "$wanted.new/sites" || return 1
    while IFS= read -r file; do
        mkdir -p "$(dirname "$wanted.new/$file")" && cp "$link/$file" "$wanted.new/$file" || return 1
    done <"$PORTSIDE_FILES/$1/kept"
    [ ! -d "$PORTSIDE_FILES/$1/new" ] || cp -R "$PORTSIDE_FILES/$1/new/." "$wanted.new/" || return 1
    # shellcheck disable=SC2016
    printf 'map "" $portside_generation {\n    default "%s";\n}\n' "$1" >"$wanted.new/generation.conf"
    # A file that differs from these checksums later was edited by hand.
    (cd "$wanted.new" && find . -type f ! -name 'generation.*' -exec sha256sum {} + >generation.sums) || return 1
    chmod -R u=rwX,go=rX "$wanted.new"/* && hide_secrets && chmod 755 "$wanted.new" &&
        find "$wanted.new" -exec sync {} + && mv "$wanted.new" "$wanted" && sync "$generations"
}

# Nginx's workers read password files at every request; no other program needs them. Root reads a proof once.
hide_secrets() {
    for file in "$wanted.new"/sites/*.proof; do
        [ ! -f "$file" ] || chmod 600 "$file" || return 1
    done
    for file in "$wanted.new"/sites/*.htpasswd; do
        [ ! -f "$file" ] || { chgrp www-data "$file" && chmod 640 "$file"; } || return 1
    done
}

# In place, without touching the live files: in a separate mount namespace, the candidate is mounted over them.
test_candidate() {
    [ -n "$previous" ] || ln -s "$wanted" "$link" || return 1
    [ -s /run/nginx.pid ] || no_pid=1
    # shellcheck disable=SC2016
    said=$(unshare -m sh -c '
        mount --make-rprivate / &&
        mount --bind "$1" /etc/nginx/nginx.conf &&
        { [ "$2" = "$3" ] || mount --bind "$2" "$3"; } &&
        { [ -z "$4" ] || [ ! -e "$4" ] || mount --bind /dev/null "$(readlink -f "$4")"; } &&
        nginx -q -t' portside "$PORTSIDE_FILES/main" "$wanted" "$(readlink -f "$link")" "$page" 2>&1)
    code=$?
    [ -z "$said" ] || printf '%s\n' "$said"
    [ "$code" -ne 0 ] || ! clashes "$said" || code=1
    # While Nginx is stopped, nginx -t leaves an empty pid file, which breaks systemd's start.
    [ -z "${no_pid:-}" ] || [ -s /run/nginx.pid ] || rm -f /run/nginx.pid
    [ "$code" -eq 0 ] || [ -n "$previous" ] || rm -f "$link"
    return "$code"
}

# Return whether a name is now claimed twice. Nginx only warns, and would serve just one of the two sites.
clashes() {
    new=$(conflicts "$1") && [ -n "$new" ] || return 1
    before=$(conflicts "$(nginx -t 2>&1)")
    found=$(printf '%s\n' "$new" | grep -vxF "${before:-none}") || return 1
    printf '%s\n' "$found" "Another site on this server already uses that name."
}

conflicts() { printf '%s\n' "$1" | grep -o 'conflicting server name.*' | sort -u; }

point_nginx() { ln -sfn "$1" "$link.new" && mv -fT "$link.new" "$link"; }

install_main() {
    cmp -s "$PORTSIDE_FILES/main" "$conf" && return
    cp -p "$conf" "$conf.before-portside" && cp "$PORTSIDE_FILES/main" "$conf.new" && chmod 644 "$conf.new" &&
        sync "$conf.new" && mv -f "$conf.new" "$conf" && main_installed=1
}

remove_page() {
    [ -n "$page" ] && [ -L "$page" ] || return 0
    page_target=$(readlink "$page")
    rm -f "$page"
}

# Print Nginx's workers that accept connections. A worker that a reload has retired says so in its title.
workers() {
    master=$(cat /run/nginx.pid 2>/dev/null) || return 0
    # shellcheck disable=SC2013
    for pid in $(cat "/proc/$master/task/$master/children" 2>/dev/null); do
        case $(tr -d '\0' <"/proc/$pid/cmdline" 2>/dev/null) in *"worker process") echo "$pid" ;; esac
    done
}

# Return whether an old worker still accepts connections. Not as a pipe: grep -q would close it early.
accepts_before() {
    found=$(workers)
    printf '%s\n' "$found" | grep -qxF "${workers_before:-none}"
}

reload() {
    workers_before=$(workers)
    if systemctl is-active --quiet nginx; then systemctl reload nginx; else systemctl start nginx; fi
}

# Wait until the old workers are gone, for a limited number of seconds: a request that one of them is still reading goes where
# its old files say.
retired() {
    limit=$(($(now) + $1))
    for pid in $workers_before; do
        while [ -d "/proc/$pid" ] && [ "$(now)" -lt "$limit" ]; do sleep 0.1; done
    done
}

# A reload returns before the new workers serve, and reports no failure. So ask until the answer is right and no old worker
# accepts connections: for a moment both do.
serves() {
    limit=$(($(now) + 15))
    until [ "$(curl -s --noproxy '*' --max-time 2 "http://127.0.0.1:$status_port/generation")" = "$1" ] &&
        ! accepts_before; do
        [ "$(now)" -lt "$limit" ] || return 1
        sleep 0.05
    done
}
