#!/bin/sh
# Put a site's certificate where Nginx reads it: in a new folder, synced to the disk, then by one rename, so that certificate
# and key always match, even after a power failure. Nginx tests it before it reloads; if it refuses, the old one is restored.
#   certificate.sh SITE KIND FOLDER      KIND: issued or own; FOLDER: holds fullchain.pem and privkey.pem
# Called by Portside, and by certbot after each renewal.
site=$1 kind=$2 folder=$3
home=/etc/portside/certificates/$site
umask 077
mkdir -p /run/portside
exec 9>/run/portside/server.lock
flock -w 900 9 || { echo "A deploy has kept Nginx busy for 15 minutes."; exit 1; }

python3 -c 'import ssl, sys; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*sys.argv[1:])' \
    "$folder/fullchain.pem" "$folder/privkey.pem" || { echo "Certificate and key of $site don't match."; exit 1; }
new=$kind-$(cat "$folder/fullchain.pem" "$folder/privkey.pem" | sha256sum | cut -c1-12)
before=$(readlink "$home/live")
same() { cmp -s "$folder/$1" "$home/live/$1"; }
if [ "$before" = "$new" ]; then
    same fullchain.pem && same privkey.pem && exit 0
    before= # the live files were damaged, so there is nothing to restore
fi

point() { ln -sfn "$1" "$home/live.new" && mv -fT "$home/live.new" "$home/live"; }

# While Nginx is stopped there is nothing to reload, and nginx -t would leave an empty pid file.
reload() {
    systemctl is-active --quiet nginx || return 0
    nginx -t -q && systemctl reload nginx
}

rm -rf "${home:?}/$new"
mkdir -p "$home/$new" && cp "$folder/fullchain.pem" "$folder/privkey.pem" "$home/$new/" &&
    sync "$home/$new"/* "$home/$new" && point "$new" && sync "$home" || exit 1
if ! reload; then
    [ -n "$before" ] || { echo "Nginx can't be reloaded. The certificate takes effect at its next reload."; exit 1; }
    point "$before"
    nginx -t -q 2>/dev/null && { rm -rf "${home:?}/$new"; echo "Nginx refuses the certificate. The previous one is restored."; exit 1; }
    # Nginx refuses something other than the certificate, which takes effect at the next reload.
    point "$new"
    echo "Nginx refuses its files for another reason. The certificate takes effect at its next reload."
    exit 1
fi
for old in "$home"/issued-* "$home"/own-*; do
    [ "$old" = "$home/$new" ] || [ "$old" = "$home/$before" ] || rm -rf "$old"
done
exit 0
