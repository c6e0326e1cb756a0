#!/bin/sh
# Installs the programs, and creates the certificate of the authority's own HTTPS. Its root's key is deleted at once; clients
# trust the root's certificate (/etc/pebble/ca.pem).
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends pebble docker-registry dnsmasq-base curl openssl
mkdir -p /etc/pebble
cd /etc/pebble
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=Portside practice authority' \
    -addext 'keyUsage=critical,keyCertSign,cRLSign' -keyout ca.key -out ca.pem
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=acme' -CA ca.pem -CAkey ca.key \
    -addext 'subjectAltName=DNS:acme,DNS:localhost,IP:127.0.0.1' -addext 'basicConstraints=critical,CA:false' \
    -addext 'extendedKeyUsage=serverAuth' -keyout key.pem -out cert.pem
rm -rf ca.key /var/lib/apt/lists/* /var/cache/apt/*
