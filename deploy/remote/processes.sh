# The processes of releases (DEPLOY_PROCESS_*). Read with: . "$PORTSIDE/remote/processes.sh"
# Needs $root, $site and $id, the live release.
# shellcheck shell=sh
# shellcheck disable=SC2154 # $root, $site, $id

# processes OPTION...: those that run, as docker ps shows them
processes() { docker ps --filter "label=portside.site=$site" --filter label=portside.role=process "$@"; }

names() { processes "$@" --format '{{.Label "portside.process"}}'; }

# Starts the live release's processes that don't run: names that came as words.
start_processes() {
    started=
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
