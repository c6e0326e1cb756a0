#!/bin/sh
# Written by Portside. A port published on 127.0.0.1 can, on Docker before 28, still be reached from the same network
# segment past Nginx: new connections into containers from anywhere but containers are dropped here. This machine's own
# connections don't pass this chain. https://docs.docker.com/engine/network/packet-filtering-firewalls/
for tables in iptables ip6tables; do
    "$tables" -w 10 -n -L DOCKER-USER >/dev/null 2>&1 || continue
    for bridge in docker0 br-+; do
        set -- ! -i "$bridge" -o "$bridge" -m conntrack --ctstate NEW -j DROP
        "$tables" -w 10 -C DOCKER-USER "$@" 2>/dev/null || "$tables" -w 10 -I DOCKER-USER "$@" || exit 1
    done
done
