# What the scripts of this folder share. Read with: . "$PORTSIDE/remote/lib.sh"
# shellcheck shell=sh

# The step changed nothing; why, in a few words.
unchanged() { printf 'unchanged %s\n' "$*" >"$PORTSIDE_RESULT"; }

# The step's answer to the laptop: JSON on one line.
answer() { printf '%s\n' "$*" >"$PORTSIDE_ANSWER"; }

# On a server of static sites alone there is no Docker: none of its containers and images is found then.
command -v docker >/dev/null || docker() {
    case $1 in ps | images | image | builder) ;; *) echo "Docker isn't installed." >&2; return 127 ;; esac
}

# Links a recorded release's static files beside those of the others, below their URL: a page that it made still finds its
# own when it isn't live any more. Only those with a hash in their names: Nginx looks for no others there, and what is a file
# in one release may be a folder in another.
#   pool ROOT ID
pool() {
    url=$(sed -n 's/.*"static_url": *"\([^"]*\)".*/\1/p' "$1/releases/$2/release.json" 2>/dev/null)
    [ -n "$url" ] && [ -d "$1/releases/$2/static" ] || return 0
    mkdir -p "$1/static-pool$url" && (cd "$1/releases/$2/static" && find . -type f -regextype posix-extended \
        -regex '.*[.-][0-9A-Za-z_-]{8,}\.[^/]+' -print0 | link "$1/static-pool$url")
}

# Links files into a folder, at their own paths and instead of what is there: those that standard input names, each ended by
# a zero. Those that can't be linked are told and passed over, and the end is a failure. Not every cp makes the folders
# between: that of uutils (Ubuntu 26.10) doesn't.
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
        if os.path.lexists(new):  # a power cut left it
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

# Gives each file below a folder whose name is decomposed (NFD, as macOS writes it) its composed name (NFC) too, which links are
# usually written in and browsers send as it is. Where another file has that name, the name stays that file's.
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
        if os.path.lexists(place) or os.path.realpath(beside) != beside:  # a link in its place may lead anywhere
            continue
        try:
            os.makedirs(beside, exist_ok=True)
            os.link(path, place, follow_symlinks=False)
        except (FileExistsError, NotADirectoryError):
            pass
' "$1"
}

# Adds the line that came along, if one did, to the site's history.
#   note ROOT
note() {
    [ ! -f "$PORTSIDE_FILES/event" ] || cat "$PORTSIDE_FILES/event" >>"$1/history.jsonl"
}

# The line of a site's history that says who changed its release or its settings last; nothing where there is none.
#   last_change ROOT
last_change() { grep -E '"result": "(live|settings)"' "$1/history.jsonl" 2>/dev/null | tail -n 1; }

# Names in a release's environment, and of each line a hash that means nothing to anybody who hasn't the nonce.
#   tell_environment RELEASE NONCE
tell_environment() {
    mkdir "$PORTSIDE/env"
    cat "$1/env" "$1/env.portside" 2>/dev/null | awk -v nonce="$2" -v folder="$PORTSIDE/env" '{
        file = folder "/" sprintf("%06d", NR); print nonce $0 >file; close(file); sub(/=.*/, ""); print
    }' >"$PORTSIDE/names"
    (cd "$PORTSIDE/env" && find . -type f | sort | xargs -r sha256sum | cut -d' ' -f1) | paste -d' ' "$PORTSIDE/names" - |
        sed 's/^/env\t/'
}

# The local ports of a release, noted when it was started.
#   ports FOLDER
ports() { sed -n 's/^PORTSIDE_PORT_[0-9]*=//p' "$1/.env" 2>/dev/null; }

# Those of a release's web containers that don't run, by their names in its compose file.
#   fallen COMPOSE REPLICAS
# Compose itself would take several times as long to tell.
fallen() {
    seq -f web-%g "$2" | grep -vxF "$(docker ps --filter "label=com.docker.compose.project.config_files=$1" \
        --filter status=running --format '{{.Label "com.docker.compose.service"}}')"
}

# Seconds since the machine came up: waiting by the clock would wait wrongly where somebody sets it.
now() { cut -d. -f1 /proc/uptime; }

# Seconds that the process of this number has run; -1 if there is none.
ran() {
    ticks=$(sed -n 's/.*) //p' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20)
    [ -n "$ticks" ] && echo $(($(now) - ticks / 100)) || echo -1
}

# Names as a list in JSON.
list() { printf '%s\n' "$@" | sed -n 's/..*/"&"/p' | paste -sd , | sed 's/.*/[&]/'; }

# The end, with the reason. The sign in front tells whoever masks secrets that these words are ours (ssh/results.py).
die() {
    printf '\037%s\n' "$*"
    exit 1
}

# The end, with what a program said.
end_with() {
    printf '%s\n' "$*"
    exit 1
}

# Puts what another release knows of the database where its container finds it, and tells its path in there; nothing where
# there is no other. What came along is for a release that an older version of Portside made.
#   known FILE FOLDER
known() {
    [ ! -s "$1" ] || cp "$1" "$2/other.json"
    [ ! -f "$2/other.json" ] || echo /portside/ask/other.json
}

# Keeps what a release said that it knows of the database, for others to be compared with; a file that says so already stays.
#   note_knowledge COMPOSE SAID
note_knowledge() {
    knowledge=${1%/*}/database.json
    printf '%s\n' "$2" | sed -n 's/^portside-knows://p' >"$knowledge.new" && chmod 644 "$knowledge.new" || return
    if cmp -s "$knowledge.new" "$knowledge"; then rm -f "$knowledge.new"; else mv -f "$knowledge.new" "$knowledge"; fi
}

# A command in a container of a release's image: manage COMPOSE [OPTION...] manage WORD...
# Whoever ends us ends Compose too, which would leave the container running: a migration may never end.
manage() {
    compose_file=$1 container=$(mktemp -u portside-manage-XXXXXXXX)
    shift
    trap 'docker rm -f "$container" >/dev/null 2>&1; exit 143' TERM
    docker compose --progress quiet -f "$compose_file" run --rm --no-deps -T --name "$container" "$@"
}
