# The processes of releases (DEPLOY_PROCESS_*). Read with: . "$PORTSIDE/remote/processes.sh"
# Needs $root, $site and $id, the live release.
# shellcheck shell=sh
# shellcheck disable=SC2154 # $root, $site, $id

# processes OPTION...: prints those that run, as docker ps does
processes() { docker ps --filter "label=portside.site=$site" --filter label=portside.role=process "$@"; }

names() { processes "$@" --format '{{.Label "portside.process"}}'; }

# Start the live release's processes that don't run, of the given names.
start_processes() {
    started=
    [ $# -gt 0 ] || return 0
    # If a process still finishes a job from when the release was live before, it restarts by itself afterwards.
    processes -q --filter "label=portside.release=$id" | xargs -r docker update --restart unless-stopped >/dev/null
    running=$(names --filter "label=portside.release=$id")
    for name in "$@"; do
        printf '%s\n' "$running" | grep -qx "$name" || started="$started $name"
    done
    # shellcheck disable=SC2046,SC2086
    [ -z "$started" ] || docker compose --progress quiet -f "$root/releases/$id/compose.yaml" --profile process \
        up -d --no-deps --force-recreate $(printf 'process-%s ' $started) || echo "Not all of the processes$started can be started."
}

# Ask the processes of all other releases to end after their present job. Not by docker kill: Docker would record it as a stop
# by the user, and not restart them if the release goes live again. Their ids are in $ending.
end_processes() {
    ending=
    for one in $(processes -q --no-trunc); do
        # shellcheck disable=SC2046
        set -- $(docker inspect --format '{{index .Config.Labels "portside.release"}} {{.HostConfig.RestartPolicy.Name}} {{.State.Pid}}' "$one")
        [ "$1" != "$id" ] && [ "$2" != no ] || continue
        docker update --restart no "$one" >/dev/null
        # A process that keeps crashing has no job to finish.
        if [ "$3" -gt 0 ]; then kill -TERM "$3"; else docker stop "$one" >/dev/null; fi
        ending="$ending $one"
    done
}

# Print the names of those that still run.
working() {
    for one in $ending; do
        names --no-trunc --filter "id=$one"
    done
}
