#!/bin/sh
# Written by Portside. A port published on 127.0.0.1 can, on Docker before 28, be reached from the same network segment
# past Nginx. New connections from outside into a container are dropped here unless Docker published the port they
# came for, and that not on the loopback. This machine's own connections don't pass this chain.
# https://docs.docker.com/engine/network/packet-filtering-firewalls/

# keep TABLES RULE...: the rule stands first in the chain
keep() {
    tables=$1
    shift
    "$tables" -w 10 -C DOCKER-USER "$@" 2>/dev/null || "$tables" -w 10 -I DOCKER-USER "$@" || exit 1
}

for tables in iptables ip6tables; do
    "$tables" -w 10 -n -L DOCKER-USER >/dev/null 2>&1 || continue
    for bridge in docker0 br-+; do
        keep "$tables" ! -i "$bridge" -o "$bridge" -m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT -j DROP
        [ "$tables" != iptables ] ||
            keep "$tables" ! -i "$bridge" -o "$bridge" -m conntrack --ctstate NEW --ctorigdst 127.0.0.0/8 -j DROP
    done
done
