#!/bin/sh
# Authorizes a public key for deploy and root, then prints the server's host keys. Usage: authorize.sh 'KEY'. Runs as root
# on the practice server; safe to run again.
set -eu
key=$1
for user in deploy root; do
    home=$(getent passwd "$user" | cut -d: -f6)
    keys=$home/.ssh/authorized_keys
    install -d -m 0700 -o "$user" -g "$user" "$home/.ssh"
    [ -e "$keys" ] || install -m 0600 -o "$user" -g "$user" /dev/null "$keys"
    grep -qxF "$key" "$keys" || echo "$key" >>"$keys"
done
cat /etc/ssh/ssh_host_*_key.pub
