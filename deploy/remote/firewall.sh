#!/bin/sh
# Open ports, and turn on the firewall, which closes all others; or close ports.
# what: open or close. ports: for example 80/tcp.
. "$PORTSIDE/remote/lib.sh"
list=ports . "$PORTSIDE/remote/arguments.sh"
: "${what?}"
for port in "$@"; do
    case $what,$port in
    open,*/udp) ufw allow "$port" comment 'Portside: HTTP/3' ;;
    open,*) ufw allow "$port" ;;
    close,*) ufw delete allow "$port" ;;
    esac || die "ufw refused the rule for port $port."
done
[ "$what" = open ] || exit 0
ufw --force enable && mkdir -p /var/lib/portside && : >/var/lib/portside/firewall
