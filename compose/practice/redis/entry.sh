#!/bin/sh
# Like the official image's: with options only, redis-server runs as user redis. By default it needs no password, because in
# a container the network is the limit.
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
