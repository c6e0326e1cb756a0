#!/bin/sh
# Written by Portside. Before Docker 28, a port published on 127.0.0.1 can be reached from the same network segment, past
# Nginx. This script drops new connections from outside into a container, unless Docker published the port on a public
# address. This machine's own connections don't pass this chain.
# https://docs.docker.com/engine/network/packet-filtering-firewalls/

# keep TABLES RULE...: makes sure that the chain has the rule, at its top
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
