#!/bin/sh
# Make the final backup of a site: database, uploads, volumes and logs. Verify it and record it.
# folder: the backup's folder. marker: the file that records it. data: the data services' compose file. volume: the
# database's volume. begun: a file that exists while the database was never ready and so has no data.
# The application stops for the backup and stays stopped, so that nothing is written after it. If the backup fails, the
# application starts again. $PORTSIDE_FILES: backup.json, README.
. "$PORTSIDE/remote/lib.sh"
list=logs . "$PORTSIDE/remote/arguments.sh"
: "${site?}" "${root?}" "${folder?}" "${marker?}" "${data?}" "${volume?}" "${begun?}"
. "$PORTSIDE/remote/databases.sh"
new=$folder.new
umask 077

# Answers with the folder, its size and its parts.
answer_with() {
    parts=$(cd "$1" && find . -maxdepth 1 -type f \( -name 'database*.dump' -o -name files.tar \) -printf ', "%P"' | cut -c3-)
    answer "{\"folder\": \"$1\", \"kilobytes\": $(du -sk "$1" | cut -f1), \"parts\": [$parts]}"
}

running() {
    for role in web process; do
        docker ps -q --filter "label=portside.site=$site" --filter "label=portside.role=$role"
    done
}

# An interrupted removal resumes here, unless the site was started again since.
running=$(running)
if [ -f "$marker" ] && [ -z "$running" ]; then
    answer_with "$(head -n 1 "$marker")"
    unchanged "it was made before"
    exit 0
fi

fail() {
    rm -rf "$new"
    rmdir "$root" 2>/dev/null
    # shellcheck disable=SC2086
    [ -z "$running" ] || docker start $running >/dev/null || echo "The application can't be started again."
    die "$* Nothing was removed."
}

compose() { docker compose --progress quiet -f "$data" "$@"; }

# Also the rotated ones. Another site's logs don't match: a site's name has no dot.
logs() {
    for log in "$@"; do
        for path in "$log" "$log".* "$log"-*; do
            [ ! -f "$path" ] || printf '%s\n' "$path"
        done
    done
}

# Print the kilobytes that the backup needs at most.
needed() {
    { (cd "$root" && du -sk media volumes 2>/dev/null); logs "$@" | xargs -r -d '\n' du -k; echo "${database_size:-0}"; } |
        awk '{sum += $1} END {print int(sum * 1.05) + 10240}'
}

rm -rf "${folder%/*}"/*.new
mkdir -p "$new" && (umask 022 && mkdir -p "$root") && cp "$PORTSIDE_FILES/backup.json" "$PORTSIDE_FILES/README" "$new/" ||
    fail "The backup's folder can't be created."

if [ ! -f "$begun" ] && docker volume inspect "$volume" >/dev/null 2>&1; then
    compose up -d --quiet-pull --wait --wait-timeout 180 db ||
        fail "The database can't be started. (To remove the site without its data, stop the containers that use the volume, then: docker volume rm --force $volume)"
    # shellcheck disable=SC2016
    database_size=$(in_db 'psql -qtA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "select sum(pg_database_size(oid)) / 1024 from pg_database"' \
        </dev/null) || fail "The database doesn't answer."
fi
needed=$(needed "$@")
free=$(df -Pk "$new" | awk 'NR == 2 {print $4}')
[ "$free" -ge "$needed" ] || fail "The disk has no room for the backup: $((needed / 1024)) MB needed, $((free / 1024)) MB free."

# shellcheck disable=SC2086
[ -z "$running" ] || docker stop $running >/dev/null || fail "The application can't be stopped."
if [ -n "${database_size:-}" ]; then
    dump_databases "$new/database.dump" --lock-wait-timeout=30s || fail "The database can't be dumped."
    for dump in "$new"/database*.dump; do
        in_db 'exec pg_restore --file=-' <"$dump" >/dev/null || fail "The dump of the database can't be read."
    done
fi
folders=$(cd "$root" && ls -d media volumes 2>/dev/null)
if [ -n "$folders" ]; then
    # shellcheck disable=SC2086
    tar -C "$root" --numeric-owner -Scf "$new/files.tar" $folders && tar -C "$root" -df "$new/files.tar" ||
        fail "Uploads and volumes can't be backed up."
fi
mkdir "$new/logs" && logs "$@" | xargs -r -d '\n' cp --preserve=timestamps -t "$new/logs" || fail "The logs can't be backed up."
for record in site.json history.jsonl; do
    [ ! -f "$root/$record" ] || cp "$root/$record" "$new/" || fail "The records can't be backed up."
done
# What follows can't be undone, so the backup must be on the disk first.
find "$new" -exec sync {} + && mv -T "$new" "$folder" && sync "${folder%/*}" || fail "The backup can't be written."
# shellcheck disable=SC2086
printf '%s\n' "$folder" $running >"$marker.new" && sync "$marker.new" && mv -f "$marker.new" "$marker" && sync "$root" ||
    fail "The removal can't be recorded."
answer_with "$folder"
