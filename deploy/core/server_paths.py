"""Paths and names on the server that all sites share."""

from __future__ import annotations

HOME = "/srv/portside"
STATE = "/var/lib/portside"
ACME_ROOT = f"{STATE}/acme"
VERSION = f"{STATE}/version"  # of the Portside that wrote the host's and Nginx's current files
SETTINGS = f"{STATE}/settings"
BACKUPS = f"{STATE}/backups"  # final backups of removed sites
NGINX_CONF = "/etc/nginx/nginx.conf"
NGINX_LIVE = "/etc/nginx/portside"
NGINX_GENERATIONS = "/etc/nginx/portside.d"
NGINX_OTHERS = "/etc/nginx/conf.d"  # for settings that aren't Portside's
NGINX_DEFAULT_PAGE = "/etc/nginx/sites-enabled/default"
NGINX_LOGS = "/var/log/nginx"
NGINX_HTTP3 = ".http3"  # suffix of the file of a site that has HTTP/3
NGINX_CACHE = "/var/cache/nginx"
CONTEXTS = "/var/cache/portside"
PAGES = "/_portside/"  # the internal URL of Nginx's own pages, which visitors can't reach
PRIVATE = "/_private/"  # the internal URL by which an application lets Nginx send files of its volumes
DAEMON_JSON = "/etc/docker/daemon.json"
DOCKER_RESERVE = "/var/lib/docker/portside-reserve"  # like each site's own: see Site.reserve
TMPFILES = "/etc/tmpfiles.d/portside.conf"
GUARD_SCRIPT = "/usr/local/lib/portside/guard-containers.sh"
GUARD_UNIT = "/etc/systemd/system/portside-guard.service"
NGINX_UNIT = "/etc/systemd/system/nginx.service.d/portside.conf"  # Portside's part of the unit
CERTIFICATES = "/etc/portside/certificates"  # where Nginx reads them; certbot has its own folder
CERTIFICATE_SCRIPT = "/usr/local/lib/portside/certificate.sh"
LETSENCRYPT_LIVE = "/etc/letsencrypt/live"
RENEWAL_HOOK = "/etc/letsencrypt/renewal-hooks/deploy/portside.sh"
RENEWAL_SETTINGS = "/etc/systemd/system/certbot.service.d/portside.conf"
ACME_AUTHORITIES = "/etc/portside/acme"  # CA bundles to trust for ACME servers

ACME_DNS = "/etc/portside/acme-dns"  # credentials of certbot's plugins

APP_USER, WEB_GROUP = 10001, 33  # 33 is www-data on Debian and Ubuntu: Nginx's own group
OWNER = f"{APP_USER}:{WEB_GROUP}"
STATUS_PORT = 8099  # the loopback-only server that shows which generation and release are live

LABEL_SITE, LABEL_RELEASE, LABEL_ROLE = "portside.site", "portside.release", "portside.role"
PENDING = "pending.json"  # the record of a release that isn't live yet, or is still being switched to
LABEL_PROCESS = "portside.process"  # the name of its DEPLOY_PROCESS_*
