# The processes of releases (DEPLOY_PROCESS_*). Read with: . "$PORTSIDE/remote/processes.sh"
# Needs $root, $site and $id, the live release.
# shellcheck shell=sh
# shellcheck disable=SC2154 # $root, $site, $id

# processes OPTION...: those that run, as docker ps shows them
processes() { docker ps --filter "label=portside.site=$site" --filter label=portside.role=process "$@"; }

names() { processes "$@" --format '{{.Label "portside.process"}}'; }

# Starts the live release's processes that don't run: names that came as words. Their names are in $started.
start_processes() {
    started='' settled=$(($(now) + 3))
    [ $# -gt 0 ] || return 0
    # One may still be at a job since the release was live before: it starts anew by itself when that is done.
    processes -q --filter "label=portside.release=$id" | xargs -r docker update --restart unless-stopped >/dev/null
    running=$(names --filter "label=portside.release=$id")
    for name in "$@"; do
        printf '%s\n' "$running" | grep -qx "$name" || started="$started $name"
    done
    # shellcheck disable=SC2046,SC2086
    [ -z "$started" ] || docker compose --progress quiet -f "$root/releases/$id/compose.yaml" --profile process \
        up -d --no-deps --force-recreate $(printf 'process-%s ' $started) || echo "The processes$started can't all be started."
}

# Tells the processes of all other releases to end: their job is their last one. Not by docker kill, which Docker takes for
# an order: should the release be live again, it wouldn't start them anew. Their ids are in $told.
tell_processes() {
    told=
    for one in $(processes -q --no-trunc); do
        # shellcheck disable=SC2046
        set -- $(docker inspect --format '{{index .Config.Labels "portside.release"}} {{.HostConfig.RestartPolicy.Name}} {{.State.Pid}}' "$one")
        [ "$1" != "$id" ] && [ "$2" != no ] || continue
        docker update --restart no "$one" >/dev/null
        # One that keeps dying has no job to finish.
        if [ "$3" -gt 0 ]; then kill -TERM "$3"; else docker stop "$one" >/dev/null; fi
        told="$told $one"
    done
}

# The names of those that were told and are still at their job.
working() {
    for one in $told; do
        names --no-trunc --filter "id=$one"
    done
}

# The names of those just started that have ended since.
dying() {
    for name in $started; do
        ended=$(docker ps -aq --filter "label=portside.site=$site" --filter "label=portside.release=$id" \
            --filter "label=portside.process=$name" | xargs -r docker inspect --format '{{if or .RestartCount (not .State.Running)}}x{{end}}')
        [ "$ended" != x ] || echo "$name"
    done
}

# Waits until it is plain whether those just started stay, and prints the log of those that don't. Their names are in $dying.
watch_processes() {
    [ -n "$started" ] || return 0
    until dying=$(dying) && [ -n "$dying" ] || [ "$(now)" -ge "$settled" ]; do
        sleep 0.2
    done
    for name in $dying; do
        echo "The log of $name ends:"
        docker compose -f "$root/releases/$id/compose.yaml" --profile process logs --no-color --no-log-prefix --tail 15 "process-$name"
    done
}

# Names as a list in JSON.
list() { printf '%s\n' "$@" | sed -n 's/..*/"&"/p' | paste -sd , | sed 's/.*/[&]/'; }
