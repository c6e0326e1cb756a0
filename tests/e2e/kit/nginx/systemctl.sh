#!/bin/sh
# What Portside's scripts ask systemd for, as far as Nginx is meant, in a container without systemd.
set -eu
running() { [ -s /run/nginx.pid ] && kill -0 "$(cat /run/nginx.pid)" 2>/dev/null; }

case "$*" in
"is-active nginx") if running; then echo active; else echo inactive; fi ;;
"is-active --quiet nginx") running ;;
"start nginx") nginx 9>&- ;; # a lock that whoever asks holds isn't Nginx's
"reload nginx") nginx -s reload ;;
*)
    echo "there is no systemd here to do this: $*" >&2
    exit 1
    ;;
esac
