#!/bin/sh
# Request a certificate with certbot and put it where Nginx reads it. A timer renews it from then on.
# name: certbot's name for it. site: the site, or empty for a trial, which is deleted again. trial: the trial's name.
# $PORTSIDE_FILES: certbot.ini; ca.pem, if another authority is to be trusted.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${name?}" "${site?}" "${trial?}"
chmod 600 "$PORTSIDE_FILES/certbot.ini"
if [ -f "$PORTSIDE_FILES/ca.pem" ]; then
    cat /etc/ssl/certs/ca-certificates.crt "$PORTSIDE_FILES/ca.pem" >"$PORTSIDE/ca.pem"
    export REQUESTS_CA_BUNDLE="$PORTSIDE/ca.pem"
    systemctl daemon-reload
fi

# An interrupted trial would be renewed forever.
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
    # Another certbot runs: its timer, or another site's deploy. certbot itself doesn't wait.
    *"Another instance of Certbot is already running"*) [ "$(now)" -lt "$limit" ] || die "Another certbot process has been running for 5 minutes." ;;
    # The authority doesn't know the account any more: register a new one.
    *"Account "*" not found"* | *accountDoesNotExist*)
        account=/etc/letsencrypt/accounts/$(sed -n 's/^server = https:\/\///p' "$PORTSIDE_FILES/certbot.ini")
        [ -d "$account" ] || end_with "$said"
        rm -rf "$account"
        ;;
    # A known harmless error, which certbot retries only once.
    *"anti-replay nonce"* | *badNonce*) [ "$(now)" -lt "$limit" ] || end_with "$said" ;;
    *) end_with "$said" ;;
    esac
    sleep 1
done
printf '%s\n' "$said"
[ "$site" ] || exit 0
systemctl enable --quiet --now certbot.timer || die "certbot.timer can't be started, so the certificate would not be renewed."
/usr/local/lib/portside/certificate.sh "$site" issued "/etc/letsencrypt/live/$name"
