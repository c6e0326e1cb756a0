#!/bin/sh
# Opens ports, where need be by switching on the firewall, which closes all others; or closes some again.
#   firewall.sh open|close PORT/PROTOCOL...
. "$PORTSIDE/remote/lib.sh"
what=$1
shift
for port in "$@"; do
    case $what,$port in
    open,*/udp) ufw allow "$port" comment 'Portside: HTTP/3' ;;
    open,*) ufw allow "$port" ;;
    close,*) ufw delete allow "$port" ;;
    esac || die "ufw takes no rule for port $port."
done
[ "$what" = open ] || exit 0
ufw --force enable && mkdir -p /var/lib/portside && : >/var/lib/portside/firewall
