#!/bin/sh
# Starts the timer by which certbot renews certificates, now and after each boot.
. "$PORTSIDE/remote/lib.sh"
systemctl enable --quiet --now certbot.timer || die "certbot.timer can't be started: nothing would renew a certificate."
