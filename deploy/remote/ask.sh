#!/bin/sh
# Ask the Django project in a release's image what it needs.
# manage: the folder of manage.py, relative to the image's working folder. other: the file with what another release knows of
# the database, or empty. application, check: see ask.py.
# $PORTSIDE_FILES: ask.py and its imports; other.json, if the other release was made by an older version of Portside.
# Answers with ask.py's answer, even if the project doesn't start. Records what this release knows beside its compose file.
. "$PORTSIDE/remote/lib.sh"
. "$PORTSIDE/remote/arguments.sh"
: "${compose?}" "${manage?}" "${other?}" "${application?}" "${check?}"
other=$(known "$other" "$PORTSIDE_FILES")
said=$(manage "$compose" --volume "$PORTSIDE_FILES:/portside/ask:ro" manage python /portside/ask/ask.py "$manage" "$other" "$application" "$check" </dev/null 2>&1)
printf '%s\n' "$said" | grep -v -e '^portside-answer:' -e '^portside-knows:' -e '^$'
json=$(printf '%s\n' "$said" | sed -n 's/^portside-answer://p')
[ -n "$json" ] || exit 1 # the output says why
note_knowledge "$compose" "$said"
answer "$json"
unchanged "it only asks"
