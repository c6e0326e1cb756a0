#!/bin/sh
# Make systemd read its files again, and start units at boot.
#   enable.sh UNIT...
systemctl daemon-reload && systemctl enable --quiet "$@"
