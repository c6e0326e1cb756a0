# What the scripts of this folder share. Read with: . "$PORTSIDE/remote/lib.sh"
# shellcheck shell=sh

# The step changed nothing; why, in a few words.
unchanged() { printf 'unchanged %s\n' "$*" >"$PORTSIDE_RESULT"; }

# The step's answer to the laptop: JSON on one line.
answer() { printf '%s\n' "$*" >"$PORTSIDE_ANSWER"; }

# The end, with the reason.
die() {
    printf '%s\n' "$*"
    exit 1
}
