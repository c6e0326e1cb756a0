# Holds a site's lock while its input is open and something comes from there at least every so many seconds: sshd
# notices a cut cable late, and a suspended laptop not at all.
#   lock SITE WHO TOKEN SECONDS CURRENT      prints "held" and the live release, or who holds it
# A line of the input is the stage we are at, or empty. Whoever gets the lock leaves the token; a run of steps with
# another token is refused, so that a laptop which wakes up after somebody else took over changes nothing.
# shellcheck shell=sh
locks=/run/portside
mkdir -p "$locks"
exec 9>"$locks/site-$1.lock"
if ! flock -n 9; then
    cat "$locks/site-$1.holder" 2>/dev/null
    exit 0
fi
since=$(date -u +%H:%M:%S)
printf '%s\n' "$3" >"$locks/site-$1.token"
printf '%s, since %s UTC\n' "$2" "$since" >"$locks/site-$1.holder"
live=$(readlink "$5")
echo "held ${live##*/}"
# shellcheck disable=SC2016
while stage=$(timeout "$4" sh -c 'IFS= read -r line && printf %s "$line"' 9>&-); do
    [ -z "$stage" ] || printf '%s, since %s UTC, now at %s\n' "$2" "$since" "$stage" >"$locks/site-$1.holder"
done
rm -f "$locks/site-$1.holder"
