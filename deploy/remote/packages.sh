#!/bin/sh
# Installs packages of the distribution.
#   packages.sh WORD...     WORD: a name; "a|b", the first there is; "a?", left out where there is none
. "$PORTSIDE/remote/lib.sh"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
told=

# How long others may keep apt busy: a server that has just been rented upgrades itself first.
minutes=5
limit=$(($(now) + minutes * 60))
busy='Could not get lock\|Unable to lock'

# apt-get itself waits for dpkg's lock alone. Of the lists' and the archives' it says that they are held, and ends.
apt() {
    while ! try "$@"; do
        grep -q "$busy" "$PORTSIDE/apt.said" || return 1
        holder=$(sed -n 's/.*held by process \([0-9]* ([^)]*)\).*/\1/p' "$PORTSIDE/apt.said" | tail -n 1)
        [ "$(now)" -lt "$limit" ] ||
            die "Something else on the server keeps apt busy for $minutes minutes: process ${holder:-unknown}. Is that the server's own upgrade, try again once it has ended."
        [ "$told" = "$holder" ] || echo "waiting for apt, which is busy: process ${holder:-unknown}"
        told=$holder
        sleep 1
    done
}

# What it prints is seen at once, but for its words about a lock.
try() {
    {
        apt-get -qq -o DPkg::Lock::Timeout=$((minutes * 60)) -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" 2>&1
        echo "ended $?" >&3
    } 3>"$PORTSIDE/apt.code" | tee "$PORTSIDE/apt.said" | sed -u "/$busy/d"
    grep -qx 'ended 0' "$PORTSIDE/apt.code"
}

available() { apt-cache policy "$1" | grep -q '^  Candidate: [^(]'; }

# The first of the alternatives that the distribution has.
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
    echo "waiting for cloud-init, which still sets the server up"
    timeout $((minutes * 60)) cloud-init status --wait >/dev/null 2>&1 || : # it may end with errors of its own
fi
echo "reading the list of packages"
apt update || die "The list of packages can't be read: is the server's network up, is /etc/apt in order?"
names=
for word in "$@"; do
    name=$(choose "$word") || die "The distribution has no package $word."
    names="$names $name"
done
# The distribution would start its default page at once, and fail to where there is no IPv6: Nginx is started with our
# settings instead. A power cut leaves our file behind: it is known by its text.
policy=/usr/sbin/policy-rc.d
# shellcheck disable=SC2016
printf '#!/bin/sh\ncase $1 in nginx*) exit 101 ;; esac\n' >"$PORTSIDE/policy"
if [ ! -e "$policy" ] || cmp -s "$policy" "$PORTSIDE/policy"; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 143' HUP INT TERM # which an EXIT trap alone isn't run for
    cp "$PORTSIDE/policy" "$policy" && chmod 755 "$policy"
fi
echo "installing$names"
# shellcheck disable=SC2086
apt install --no-remove --no-install-recommends -o Dpkg::Options::=--force-confold $names || die "apt-get could not install$names."
