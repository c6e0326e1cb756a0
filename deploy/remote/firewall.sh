#!/bin/sh
# Opens these TCP ports and closes all others.
#   firewall.sh PORT...
. "$PORTSIDE/remote/lib.sh"
for port in "$@"; do
    ufw allow "$port/tcp" || die "ufw takes no rule for port $port."
done
ufw --force enable
