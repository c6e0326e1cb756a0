#!/bin/sh
# Start certbot's renewal timer, now and at boot.
. "$PORTSIDE/remote/lib.sh"
systemctl enable --quiet --now certbot.timer || die "certbot.timer can't be started, so certificates would not be renewed."
