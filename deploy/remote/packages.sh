#!/bin/sh
# Installs packages of the distribution.
#   packages.sh WORD...     WORD: a name; "a|b", the first there is; "a?", left out where there is none
. "$PORTSIDE/remote/lib.sh"
export DEBIAN_FRONTEND=noninteractive

apt() { apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"; }

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

echo "reading the list of packages"
apt update || die "The list of packages can't be read: is the server's network up, is /etc/apt in order?"
names=
for word in "$@"; do
    name=$(choose "$word") || die "The distribution has no package $word."
    names="$names $name"
done
# The distribution would start its default page at once, and fail to where there is no IPv6: Nginx is started with our
# settings instead.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    # shellcheck disable=SC2016
    printf '#!/bin/sh\ncase $1 in nginx*) exit 101 ;; esac\n' >"$policy" && chmod 755 "$policy"
fi
echo "installing$names"
# shellcheck disable=SC2086
apt install --no-remove --no-install-recommends -o Dpkg::Options::=--force-confold $names || die "apt-get could not install$names."
