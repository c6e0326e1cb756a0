#!/bin/sh
# Check that a static site's release has a file for a path, as Nginx finds it: see site/static.conf.j2.
# group: Nginx's own group, by number. fallback: the file that is shown for paths that don't exist, or empty.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${folder?}" "${path?}" "${group?}" "${fallback?}"
path=${path%%\?*}
for file in "$path" "$path.html" "$path/index.html" ${fallback:+"/$fallback"}; do
    [ -f "$folder$file" ] || continue
    setpriv --reuid "$group" --regid "$group" --clear-groups cat "$folder$file" >/dev/null || die "Nginx can't read $file."
    unchanged "it only looks"
    exit 0
done
echo "The release has: $(cd "$folder" && find . -mindepth 1 -maxdepth 1 ! -name '*.gz' ! -name '*.br' -printf '%P\n' | sort | head -n 8 | paste -sd ' ')"
die "The new release shows nothing at $path: there is no ${path#/}$([ "$path" != "${path%/}" ] && echo index.html). Is DEPLOY_APP the right folder?"
