#!/bin/sh
# Tests every rendering in /root/tried with the real Nginx, each in its place: NAME/nginx is the generation, NAME/others
# has the files that it names beside itself, by their paths. Says "NAME ok", or what Nginx says.
set -eu
for folder in /root/tried/*; do
    rm -rf /etc/portside
    cp -R "$folder/others/." /
    ln -sfn "$folder/nginx" /etc/nginx/portside
    echo "${folder##*/} $(nginx -t -q -c "$folder/main" 2>&1 && echo ok)"
done
