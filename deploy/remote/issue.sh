#!/bin/sh
# Asks an authority for a certificate, by certbot, and puts it where Nginx reads it; renewed by a timer from then on.
#   issue.sh NAME SITE TRIAL
# NAME: certbot's for it; SITE: whose it is, or empty for a trial, which is deleted again; TRIAL: the trial's name.
# $PORTSIDE_FILES: certbot.ini, and ca.pem where another authority is to be trusted.
. "$PORTSIDE/remote/lib.sh"
name=$1 site=$2 trial=$3
chmod 600 "$PORTSIDE_FILES/certbot.ini"
if [ -f "$PORTSIDE_FILES/ca.pem" ]; then
    cat /etc/ssl/certs/ca-certificates.crt "$PORTSIDE_FILES/ca.pem" >"$PORTSIDE/ca.pem"
    export REQUESTS_CA_BUNDLE="$PORTSIDE/ca.pem"
    systemctl daemon-reload
fi

# An interrupted trial would be renewed for ever.
forget() { [ ! -f "/etc/letsencrypt/renewal/$trial.conf" ] || certbot delete --non-interactive --cert-name "$trial" >/dev/null 2>&1; }

end() {
    forget
    rm -f "/etc/portside/acme-dns/$trial"
}

forget
trap end EXIT
limit=$(($(now) + 300))
until said=$(certbot certonly --non-interactive --config "$PORTSIDE_FILES/certbot.ini" 2>&1); do
    case $said in
    # Its timer, or another site's: certbot doesn't wait for itself.
    *"Another instance of Certbot is already running"*) [ "$(now)" -lt "$limit" ] || die "certbot is busy with something else." ;;
    # The authority knows our account no more: another one is made.
    *"Account "*" not found"* | *accountDoesNotExist*)
        account=/etc/letsencrypt/accounts/$(sed -n 's/^server = https:\/\///p' "$PORTSIDE_FILES/certbot.ini")
        [ -d "$account" ] || end_with "$said"
        rm -rf "$account"
        ;;
    # It happens, means nothing, and certbot asks once more only.
    *"anti-replay nonce"* | *badNonce*) [ "$(now)" -lt "$limit" ] || end_with "$said" ;;
    *) end_with "$said" ;;
    esac
    sleep 1
done
printf '%s\n' "$said"
[ "$site" ] || exit 0
systemctl enable --quiet --now certbot.timer || die "certbot.timer can't be started: nothing would renew the certificate."
/usr/local/lib/portside/certificate.sh "$site" issued "/etc/letsencrypt/live/$name"
