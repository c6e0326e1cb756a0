#!/bin/sh
# Lets releases with another password than the database's connect to it, beside the live one: a role of PostgreSQL has but one
# password, so for that time the site's own network needs none. The host itself, which comes from the network's gateway (a
# published port), still does.
#   passwords.sh COMPOSE ROOT SECRETS MARK open|close
# SECRETS: the folder of password and password.next; MARK: a file that names the release that is live meanwhile. When it is
# closed, the database has the next password where another release is live by then; else it keeps the one it has.
. "$PORTSIDE/remote/lib.sh"
compose=$1 root=$2 secrets=$3 mark=$4 state=$5
. "$PORTSIDE/remote/password.sh"

live() { basename "$(readlink "$root/current")"; }

# Writes the rules of who may connect anew: RULES, and what was there but for ours.
rules() {
    gateway=$(docker network inspect --format '{{range .IPAM.Config}}{{.Gateway}} {{end}}' \
        "$(docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' \
            "$(docker compose -f "$compose" ps -q db)")") || return
    docker compose -f "$compose" exec -T db sh -s "$1" "${gateway%% *}" <<'INSIDE'
set -e
file=$(psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'show hba_file')
# As the image's own rule for everybody has it.
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

# Whether a wrong password is enough from the site's own network.
admits() {
    docker compose -f "$compose" exec -T db sh -s >/dev/null 2>&1 <<'INSIDE'
PGPASSWORD=wrong psql -qtA -h "$(hostname -i | cut -d' ' -f1)" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'select 1'
INSIDE
}

# reached WANTED COMMAND: until a command succeeds, or (no) fails
reached() {
    limit=$(($(now) + 60))
    while { "$2" && is=yes || is=no; } && [ "$is" != "$1" ]; do
        [ "$(now)" -lt "$limit" ] || return 1
        sleep 0.1
    done
}

if [ "$state" = open ]; then
    live >"$mark.new" && sync "$mark.new" && mv -f "$mark.new" "$mark" || die "The disk takes no file."
    rules open && reached yes admits || die "The database doesn't take the change of who may connect."
    exit
fi
[ -f "$mark" ] || { unchanged "nothing was open"; exit 0; }
if [ "$(live)" != "$(cat "$mark")" ]; then
    # Set also where an earlier try came no further than the file.
    [ ! -f "$secrets/password.next" ] || mv -f "$secrets/password.next" "$secrets/password" || die "The disk takes no file."
    set_password
fi
rules close && reached no admits || die "The database doesn't take the change of who may connect."
usable || die "The database takes no connection from another container, with the password it should have."
rm -f "$secrets/password.next" "$mark"
