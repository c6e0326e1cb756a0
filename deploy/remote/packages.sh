#!/bin/sh
# Install packages of the distribution.
# packages: names; "a|b" is the first that exists, "a?" is skipped if it doesn't exist.
. "$PORTSIDE/remote/lib.sh"
list=packages . "$PORTSIDE/remote/arguments.sh"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
reported=

# How long another process may keep apt busy: a new server upgrades itself first.
minutes=5
limit=$(($(now) + minutes * 60))
busy='Could not get lock\|Unable to lock'

# apt-get itself waits only for dpkg's lock. If the lock of the lists or the archives is taken, it exits.
apt() {
    while ! try "$@"; do
        grep -q "$busy" "$PORTSIDE/apt.said" || return 1
        holder=$(sed -n 's/.*held by process \([0-9]* ([^)]*)\).*/\1/p' "$PORTSIDE/apt.said" | tail -n 1)
        [ "$(now)" -lt "$limit" ] ||
            die "Another process on the server has kept apt busy for $minutes minutes: ${holder:-unknown}. If it is the server's own upgrade, run the command again when it has ended."
        [ "$reported" = "$holder" ] || echo "waiting for apt, which is busy: process ${holder:-unknown}"
        reported=$holder
        sleep 1
    done
}

# Show apt-get's output at once, except its messages about a lock.
try() {
    {
        apt-get -qq -o DPkg::Lock::Timeout=$((minutes * 60)) -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" 2>&1
        echo "ended $?" >&3
    } 3>"$PORTSIDE/apt.code" | tee "$PORTSIDE/apt.said" | sed -u "/$busy/d"
    grep -qx 'ended 0' "$PORTSIDE/apt.code"
}

available() { apt-cache policy "$1" | grep -q '^  Candidate: [^(]'; }

# Print the first of the alternatives that the distribution has.
choose() {
    rest=${1%\?}
    while [ -n "$rest" ]; do
        name=${rest%%|*}
        available "$name" && echo "$name" && return
        case $rest in *"|"*) rest=${rest#*|} ;; *) rest= ;; esac
    done
    case $1 in *"?") ;; *) return 1 ;; esac
}

if command -v cloud-init >/dev/null && cloud-init status 2>/dev/null | grep -q running; then
    echo "waiting for cloud-init, which is still setting up the server"
    timeout $((minutes * 60)) cloud-init status --wait >/dev/null 2>&1 || : # cloud-init's own errors don't matter
fi
echo "reading the list of packages"
apt update || die "The list of packages can't be updated. Is the server's network up, and is /etc/apt correct?"
names=
for word in "$@"; do
    name=$(choose "$word") || die "The distribution has no package $word."
    names="$names $name"
done
# The distribution would start its default page at once, which fails without IPv6: Nginx starts with Portside's settings
# instead. A power failure leaves this file behind; it is recognized by its text.
policy=/usr/sbin/policy-rc.d
# shellcheck disable=SC2016
printf '#!/bin/sh\ncase $1 in nginx*) exit 101 ;; esac\n' >"$PORTSIDE/policy"
if [ ! -e "$policy" ] || cmp -s "$policy" "$PORTSIDE/policy"; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 143' HUP INT TERM # an EXIT trap alone doesn't run on signals
    cp "$PORTSIDE/policy" "$policy" && chmod 755 "$policy"
fi
echo "installing$names"
# shellcheck disable=SC2086
apt install --no-remove --no-install-recommends -o Dpkg::Options::=--force-confold $names || die "apt-get could not install$names."
