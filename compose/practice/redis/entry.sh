#!/bin/sh
# As the official image's: options alone mean redis-server, which runs as redis, and answers its network without a password
# unless told otherwise, since in a container the network is the fence.
set -eu
case ${1-} in -* | *.conf) set -- redis-server "$@" ;; esac
[ "${1-}" = redis-server ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis '{}' +
    exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
umask 077
case " $* " in
    *" --protected-mode "*) exec "$@" ;;
    *) exec "$@" --protected-mode no ;;
esac
