#!/bin/sh
# Has systemd read its files again, and start units at each boot.
#   enable.sh UNIT...
systemctl daemon-reload && systemctl enable --quiet "$@"
