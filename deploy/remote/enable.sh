#!/bin/sh
# Make systemd read its files again, and start units at boot.
list=units . "$PORTSIDE/remote/arguments.sh"
systemctl daemon-reload && systemctl enable --quiet "$@"
