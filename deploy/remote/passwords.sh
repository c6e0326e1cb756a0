#!/bin/sh
# Let releases with another password connect to the database, beside the live release. A PostgreSQL role has only one
# password, so meanwhile the site's own network needs none. The host itself, which connects through the network's gateway (a
# published port), still needs one.
# secrets: the folder of password and password.next. mark: a file that names the live release meanwhile. state: open or close.
# On close, the database gets the next password if another release is live by then; else it keeps the present one.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${root?}" "${secrets?}" "${mark?}" "${state?}"
. "$PORTSIDE/remote/password.sh"

live() { basename "$(readlink "$root/current")"; }

# Rewrite the rules of who may connect (pg_hba): Portside's rules, then the existing ones.
rules() {
    gateway=$(docker network inspect --format '{{range .IPAM.Config}}{{.Gateway}} {{end}}' \
        "$(docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' \
            "$(docker compose -f "$compose" ps -q db)")") || return
    docker compose -f "$compose" exec -T db sh -s "$1" "${gateway%% *}" <<'INSIDE'
set -e
file=$(psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'show hba_file')
# The method of the image's own rule for all hosts.
method=$(awk '$1 == "host" && $3 == "all" {found = $NF} END {print found}' "$file")
{
    [ "$1" = close ] || printf 'host all all %s/32 %s # portside\nhost all all samenet trust # portside\n' "$2" "${method:-md5}"
    sed '/# portside$/d' "$file"
} >"$file.new"
chmod --reference="$file" "$file.new" 2>/dev/null || chmod 600 "$file.new"
chown --reference="$file" "$file.new" 2>/dev/null || chown "$(stat -c %u:%g "$file")" "$file.new"
sync "$file.new"
mv "$file.new" "$file"
psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'select pg_reload_conf()' >/dev/null
INSIDE
}

# Return whether a wrong password is accepted from the site's own network.
admits() {
    docker compose -f "$compose" exec -T db sh -s >/dev/null 2>&1 <<'INSIDE'
PGPASSWORD=wrong psql -qtA -h "$(hostname -i | cut -d' ' -f1)" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'select 1'
INSIDE
}

# reached WANTED COMMAND: waits until a command succeeds (yes) or fails (no)
reached() {
    limit=$(($(now) + 60))
    while { "$2" && is=yes || is=no; } && [ "$is" != "$1" ]; do
        [ "$(now)" -lt "$limit" ] || return 1
        sleep 0.1
    done
}

if [ "$state" = open ]; then
    live >"$mark.new" && sync "$mark.new" && mv -f "$mark.new" "$mark" || die "No file can be written: is the disk full?"
    rules open && reached yes admits || die "The database didn't apply the new connection rules."
    exit
fi
[ -f "$mark" ] || { unchanged "nothing was open"; exit 0; }
if [ "$(live)" != "$(cat "$mark")" ]; then
    # Also if an earlier try got only as far as writing the file.
    [ ! -f "$secrets/password.next" ] || mv -f "$secrets/password.next" "$secrets/password" || die "No file can be written: is the disk full?"
    set_password
fi
rules close && reached no admits || die "The database didn't apply the new connection rules."
usable || die "The database refuses a connection from another container with the password it should have."
rm -f "$secrets/password.next" "$mark"
