"""Paths and names on the server that belong to no single site."""

from __future__ import annotations

HOME = "/srv/portside"
STATE = "/var/lib/portside"
ACME_ROOT = f"{STATE}/acme"
VERSION = f"{STATE}/version"  # of the Portside that has the host's files and Nginx's as they are
SETTINGS = f"{STATE}/settings"
BACKUPS = f"{STATE}/backups"  # what is left of sites that were taken away
NGINX_CONF = "/etc/nginx/nginx.conf"
NGINX_LIVE = "/etc/nginx/portside"
NGINX_GENERATIONS = "/etc/nginx/portside.d"
NGINX_OTHERS = "/etc/nginx/conf.d"  # where settings that aren't ours belong
NGINX_DEFAULT_PAGE = "/etc/nginx/sites-enabled/default"
NGINX_LOGS = "/var/log/nginx"
NGINX_HTTP3 = ".http3"  # what the file of a site that has HTTP/3 ends in
NGINX_CACHE = "/var/cache/nginx"
CONTEXTS = "/var/cache/portside"
PAGES = "/_portside/"  # the URL below which Nginx finds its own pages, and nobody else
PRIVATE = "/_private/"  # the URL below which an application names files of its volumes to Nginx
DAEMON_JSON = "/etc/docker/daemon.json"
DOCKER_RESERVE = "/var/lib/docker/portside-reserve"  # as each site's own: see Site.reserve
TMPFILES = "/etc/tmpfiles.d/portside.conf"
GUARD_SCRIPT = "/usr/local/lib/portside/guard-containers.sh"
GUARD_UNIT = "/etc/systemd/system/portside-guard.service"
NGINX_UNIT = "/etc/systemd/system/nginx.service.d/portside.conf"  # what is ours of it
CERTIFICATES = "/etc/portside/certificates"  # where Nginx reads them, beside certbot's own folder
CERTIFICATE_SCRIPT = "/usr/local/lib/portside/certificate.sh"
LETSENCRYPT_LIVE = "/etc/letsencrypt/live"
RENEWAL_HOOK = "/etc/letsencrypt/renewal-hooks/deploy/portside.sh"
RENEWAL_SETTINGS = "/etc/systemd/system/certbot.service.d/portside.conf"
ACME_AUTHORITIES = "/etc/portside/acme"  # what else to trust when an authority is asked

ACME_DNS = "/etc/portside/acme-dns"  # credentials of certbot's plugins

APP_USER, WEB_GROUP = 10001, 33  # 33 is www-data on Debian and Ubuntu: Nginx's own group
OWNER = f"{APP_USER}:{WEB_GROUP}"
STATUS_PORT = 8099  # the loopback-only server that says which generation and release are live

LABEL_SITE, LABEL_RELEASE, LABEL_ROLE = "portside.site", "portside.release", "portside.role"
PENDING = "pending.json"  # the record of a release that isn't live yet, or whose switch isn't finished
LABEL_PROCESS = "portside.process"  # which of DEPLOY_PROCESS_*
