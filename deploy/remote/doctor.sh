#!/bin/sh
# Print what fab doctor needs besides the facts, as lines of "key<TAB>value". Read-only.
# units: systemd units, whose present and boot-time states are printed.
. "$PORTSIDE/remote/lib.sh"
list=units . "$PORTSIDE/remote/arguments.sh"

fact() { printf '%s\t%s\n' "$1" "$2"; }

for unit in "$@"; do
    [ "$(systemctl show -p LoadState --value "$unit")" = not-found ] ||
        fact unit "$unit $(systemctl is-active "$unit") $(systemctl is-enabled "$unit" 2>/dev/null || echo disabled)"
done
systemctl list-units --failed --plain --no-legend --full | awk '{print "failed\t" $1}'
# Docker's own bridges have local addresses.
ip -o addr show scope global | awk '$2 !~ /^(docker|br-|veth)/ {sub("/.*", "", $4); print "address\t" $4}'
df -Pk / /var /srv /var/lib/docker 2>/dev/null | awk 'NR > 1 {sub("%", "", $5); print "disk\t" $5 " " int($4 / 1024) " " $6}' | sort -u
df -Pi / /var /srv /var/lib/docker 2>/dev/null | awk 'NR > 1 && $5 ~ /%/ {sub("%", "", $5); print "inodes\t" $5 " " $6}' | sort -u
[ ! -f /run/reboot-required ] || fact reboot yes
fact password "$(sshd -T 2>/dev/null | awk '$1 == "passwordauthentication" {print $2}')"
containers=$(docker ps -aq)
# shellcheck disable=SC2086
[ -z "$containers" ] || docker inspect --format '{{"container\t"}}{"name": {{json .Name}}, "state": {{json .State.Status}}, "restart": {{json .HostConfig.RestartPolicy.Name}}, "labels": {{json .Config.Labels}}, "ports": {{json .NetworkSettings.Ports}}}' $containers
exit 0
