#!/bin/sh
# Start the unit that keeps containers from being reached past Nginx.
systemctl daemon-reload && systemctl enable --quiet portside-guard.service && systemctl restart portside-guard.service
