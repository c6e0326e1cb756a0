#!/bin/sh
# Puts a site's certificate where Nginx reads it: a folder of its own, on the disk, then one rename, so that certificate
# and key always belong together, after a power cut too. Nginx tests it before it reloads; what it refuses is taken back.
#   certificate.sh SITE KIND FOLDER      KIND: issued or own; FOLDER: holds fullchain.pem and privkey.pem
# Portside calls it, and after each renewal certbot.
site=$1 kind=$2 folder=$3
home=/etc/portside/certificates/$site
umask 077
mkdir -p /run/portside
exec 9>/run/portside/server.lock
flock -w 900 9 || { echo "A deploy has kept Nginx busy for 15 minutes."; exit 1; }

python3 -c 'import ssl, sys; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*sys.argv[1:])' \
    "$folder/fullchain.pem" "$folder/privkey.pem" || { echo "Certificate and key of $site don't belong together."; exit 1; }
new=$kind-$(cat "$folder/fullchain.pem" "$folder/privkey.pem" | sha256sum | cut -c1-12)
before=$(readlink "$home/live")
same() { cmp -s "$folder/$1" "$home/live/$1"; }
if [ "$before" = "$new" ]; then
    same fullchain.pem && same privkey.pem && exit 0
    before= # somebody has damaged it, and there is no other to go back to
fi

point() { ln -sfn "$1" "$home/live.new" && mv -fT "$home/live.new" "$home/live"; }

# Where none runs there is nothing to reload, and nginx -t would leave an empty pid file.
reload() {
    systemctl is-active --quiet nginx || return 0
    nginx -t -q && systemctl reload nginx
}

rm -rf "${home:?}/$new"
mkdir -p "$home/$new" && cp "$folder/fullchain.pem" "$folder/privkey.pem" "$home/$new/" &&
    sync "$home/$new"/* "$home/$new" && point "$new" && sync "$home" || exit 1
if ! reload; then
    [ -n "$before" ] || { echo "Nginx can't be reloaded; the certificate waits for its next reload."; exit 1; }
    point "$before"
    nginx -t -q 2>/dev/null && { rm -rf "${home:?}/$new"; echo "Nginx refuses the certificate; the one before is back."; exit 1; }
    # It isn't the certificate that Nginx refuses: that one is in force with the next reload.
    point "$new"
    echo "Nginx refuses its files for another reason; the certificate waits for its next reload."
    exit 1
fi
for old in "$home"/issued-* "$home"/own-*; do
    [ "$old" = "$home/$new" ] || [ "$old" = "$home/$before" ] || rm -rf "$old"
done
exit 0
