# Functions that the scripts of this folder share. Read with: . "$PORTSIDE/remote/lib.sh"
# shellcheck shell=sh

# Report that the step changed nothing, and why, in a few words.
unchanged() { printf 'unchanged %s\n' "$*" >"$PORTSIDE_RESULT"; }

# Set the step's answer to the laptop: JSON on one line.
answer() { printf '%s\n' "$*" >"$PORTSIDE_ANSWER"; }

# A server with only static sites has no Docker: treat it as without containers and images.
command -v docker >/dev/null || docker() {
    case $1 in ps | images | image | builder) ;; *) echo "Docker isn't installed." >&2; return 127 ;; esac
}

# Link a recorded release's static files into the pool of all releases, below their URL. A page of an older release still
# finds its files there. Only files with a hash in their names: Nginx looks for no others there, and a file in one release
# may be a folder in another.
#   pool ROOT ID
pool() {
    url=$(sed -n 's/.*"static_url": *"\([^"]*\)".*/\1/p' "$1/releases/$2/release.json" 2>/dev/null)
    [ -n "$url" ] && [ -d "$1/releases/$2/static" ] || return 0
    mkdir -p "$1/static-pool$url" && (cd "$1/releases/$2/static" && find . -type f -regextype posix-extended \
        -regex '.*[.-][0-9A-Za-z_-]{8,}\.[^/]+' -print0 | link "$1/static-pool$url")
}

# Link files into a folder, at their own paths, replacing existing ones. Standard input has the paths, each ended by a zero
# byte. Prints those that can't be linked, continues, and fails at the end. Not with cp: that of uutils (Ubuntu 26.10)
# doesn't create the folders between.
#   link FOLDER
link() {
    python3 -I -S -c '
import os, sys
failed = False
for path in filter(None, sys.stdin.buffer.read().split(b"\0")):
    place = os.path.join(os.fsencode(sys.argv[1]), path)
    new = os.path.join(os.path.dirname(place), b".portside-new")
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.lexists(new):  # left by a power failure
            os.unlink(new)
        if not (os.path.lexists(place) and os.path.samestat(os.lstat(path), os.lstat(place))):
            os.link(path, new, follow_symlinks=False)
            os.replace(new, place)
    except OSError as error:
        failed = True
        print(error, file=sys.stderr)
sys.exit(failed)
' "$1"
}

# Give each file below a folder whose name is decomposed (NFD, as macOS writes it) its composed name (NFC) too, which links
# and browsers usually use. If another file has that name, it keeps it.
#   compose_names FOLDER
compose_names() {
    python3 -I -S -c '
import os, sys, unicodedata
top = os.path.realpath(sys.argv[1])
for folder, folders, files in os.walk(top):
    links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
    for path in (os.path.join(folder, name) for name in files + links):
        place = os.path.join(top, unicodedata.normalize("NFC", os.path.relpath(path, top)))
        beside = os.path.dirname(place)
        if os.path.lexists(place) or os.path.realpath(beside) != beside:  # a link there may lead anywhere
            continue
        try:
            os.makedirs(beside, exist_ok=True)
            os.link(path, place, follow_symlinks=False)
        except (FileExistsError, NotADirectoryError):
            pass
' "$1"
}

# Append the line that was sent along, if any, to the site's history.
#   note ROOT
note() {
    [ ! -f "$PORTSIDE_FILES/event" ] || cat "$PORTSIDE_FILES/event" >>"$1/history.jsonl"
}

# Print the history's last line that changed the live release or the settings, if any.
#   last_change ROOT
last_change() { grep -E '"result": "(live|settings)"' "$1/history.jsonl" 2>/dev/null | tail -n 1; }

# Print the names in a release's environment, each with a hash of its line and the nonce.
#   print_environment RELEASE NONCE
print_environment() {
    mkdir "$PORTSIDE/env"
    cat "$1/env" "$1/env.portside" 2>/dev/null | awk -v nonce="$2" -v folder="$PORTSIDE/env" '{
        file = folder "/" sprintf("%06d", NR); print nonce $0 >file; close(file); sub(/=.*/, ""); print
    }' >"$PORTSIDE/names"
    (cd "$PORTSIDE/env" && find . -type f | sort | xargs -r sha256sum | cut -d' ' -f1) | paste -d' ' "$PORTSIDE/names" - |
        sed 's/^/env\t/'
}

# Print the local ports of a release, recorded at its start.
#   ports FOLDER
ports() { sed -n 's/^PORTSIDE_PORT_[0-9]*=//p' "$1/.env" 2>/dev/null; }

# Print the web containers of a release that don't run, by their names in its compose file.
#   fallen COMPOSE REPLICAS
# Not by docker compose ps, which takes several times as long.
fallen() {
    seq -f web-%g "$2" | grep -vxF "$(docker ps --filter "label=com.docker.compose.project.config_files=$1" \
        --filter status=running --format '{{.Label "com.docker.compose.service"}}')"
}

# Print the seconds since the machine booted: unlike the clock, it can't be set.
now() { cut -d. -f1 /proc/uptime; }

# Print how many seconds a process has run; -1 if it doesn't exist.
ran() {
    ticks=$(sed -n 's/.*) //p' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20)
    [ -n "$ticks" ] && echo $(($(now) - ticks / 100)) || echo -1
}

# Print names as a JSON list.
list() { printf '%s\n' "$@" | sed -n 's/..*/"&"/p' | paste -sd , | sed 's/.*/[&]/'; }

# Exit with the reason. The sign in front marks the words as Portside's own for the masking of secrets (ssh/results.py).
die() {
    printf '\037%s\n' "$*"
    exit 1
}

# Exit with a program's output.
end_with() {
    printf '%s\n' "$*"
    exit 1
}

# Copy what another release knows of the database to where its container finds it, and print the path inside the container.
# Print nothing without another release. other.json was sent along if an older version of Portside made that release.
#   known FILE FOLDER
known() {
    [ ! -s "$1" ] || cp "$1" "$2/other.json"
    [ ! -f "$2/other.json" ] || echo /portside/ask/other.json
}

# Store what a release reported about the database, for comparison with others. An equal file is kept.
#   note_knowledge COMPOSE SAID
note_knowledge() {
    knowledge=${1%/*}/database.json
    printf '%s\n' "$2" | sed -n 's/^portside-knows://p' >"$knowledge.new" && chmod 644 "$knowledge.new" || return
    if cmp -s "$knowledge.new" "$knowledge"; then rm -f "$knowledge.new"; else mv -f "$knowledge.new" "$knowledge"; fi
}

# Run a command in a container of a release's image: manage COMPOSE [OPTION...] manage WORD...
# A signal that ends this script ends Compose too, which would leave the container running: a migration may never end.
manage() {
    compose_file=$1 container=$(mktemp -u portside-manage-XXXXXXXX)
    shift
    trap 'docker rm -f "$container" >/dev/null 2>&1; exit 143' TERM
    docker compose --progress quiet -f "$compose_file" run --rm --no-deps -T --name "$container" "$@"
}
