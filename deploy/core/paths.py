"""Site: every name and every path of a site on the server. No other module spells one out.

The layout under ``/srv/portside/<site>`` and the reasons for it are in docs/dev/design.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import server_paths


@dataclass(frozen=True)
class Site:
    """Names and paths of the site called ``name``."""

    name: str

    @property
    def root(self) -> str:
        return f"{server_paths.HOME}/{self.name}"

    @property
    def record(self) -> str:
        """The record of the site that owns the name: domains and database of the last deploy."""
        return f"{self.root}/site.json"

    @property
    def settings(self) -> str:
        """The environment file of the last deploy, readable by root only. ``fab env --pull`` restores it."""
        return f"{server_paths.SETTINGS}/{self.name}"

    @property
    def current(self) -> str:
        return f"{self.root}/current"

    @property
    def releases(self) -> str:
        return f"{self.root}/releases"

    @property
    def media(self) -> str:
        return f"{self.root}/media"

    @property
    def history(self) -> str:
        return f"{self.root}/history.jsonl"

    @property
    def reserve(self) -> str:
        """A file that reserves disk space for a rollback on a full disk. Docker, on its own disk, has another."""
        return f"{self.root}/reserve"

    @property
    def removing(self) -> str:
        """A file that exists while the site is being removed. It names the folder of the final backup."""
        return f"{self.root}/removing"

    def final_backup(self, clock: str) -> str:
        """Return the folder of a final backup. Each removal of the site makes one."""
        return f"{server_paths.BACKUPS}/{self.name}/{clock}"

    @property
    def dumps(self) -> str:
        """The folder of the dumps from before migrations."""
        return f"{self.root}/backups"

    def dump(self, name: str) -> str:
        """Return the path of a dump of the database from before migrations."""
        return f"{self.dumps}/before-{name}.dump"

    @property
    def live_compose(self) -> str:
        """The live release's compose file."""
        return f"{self.current}/compose.yaml"

    @property
    def live_static(self) -> str:
        """The live release's static files, by the path that Nginx uses."""
        return f"{self.current}/static"

    @property
    def static_pool(self) -> str:
        """Links to the static files of every kept release, by their URL, for pages loaded before a switch."""
        return f"{self.root}/static-pool"

    @property
    def switching(self) -> str:
        """The live release's record while its switch isn't finished, by the path that Nginx uses."""
        return f"{self.current}/{server_paths.PENDING}"

    def live_socket(self, number: int, protocol: str) -> str:
        """Return the socket of one of the live release's web containers, by the path that Nginx uses."""
        return f"{self.current}/run/{_socket(number, protocol)}"

    def volume(self, name: str) -> str:
        """Return the path of a folder of DEPLOY_VOLUMES."""
        return f"{self.root}/volumes/{name}"

    @property
    def layers(self) -> str:
        """The compressed layers of images that were built on a laptop, each named by the hash of its content."""
        return f"{self.root}/layers"

    @property
    def pulled(self) -> str:
        """The tag of the image that was pulled last (DEPLOY_BUILD)."""
        return f"portside/{self.name}:pulled"

    @property
    def data(self) -> str:
        return f"{self.root}/data"

    @property
    def data_compose(self) -> str:
        return f"{self.data}/compose.yaml"

    @property
    def data_secrets(self) -> str:
        return f"{self.data}/secrets"

    @property
    def data_password(self) -> str:
        """The database's password."""
        return f"{self.data_secrets}/password"

    @property
    def data_next_password(self) -> str:
        """The database's password from the next release on."""
        return f"{self.data_password}.next"

    @property
    def data_open(self) -> str:
        """A file that exists while the database takes two releases' passwords. It names the live release."""
        return f"{self.data}/open"

    @property
    def data_begun(self) -> str:
        """A file with the time of the database's first start. It exists until the database is ready."""
        return f"{self.data}/begun"

    @property
    def migrating(self) -> str:
        """A file that exists from the start of a migration until it has succeeded."""
        return f"{self.root}/migrating"

    @property
    def data_ready(self) -> str:
        """A file with the time at which the database was first ready, and PostgreSQL's system identifier. The database
        is never initialised again after that."""
        return f"{self.data}/ready"

    @property
    def data_project(self) -> str:
        """The compose project of the long-lived services."""
        return f"{self.name}-data"

    @property
    def postgres_volume(self) -> str:
        """The Docker volume of the database."""
        return f"{self.name}-postgres"

    @property
    def network(self) -> str:
        """The site's Docker network. Releases share it, because Docker has addresses for only about thirty networks."""
        return f"portside-{self.name}"

    @property
    def nginx_file(self) -> str:
        """The site's file inside a generation."""
        return f"sites/{self.name}.conf"

    @property
    def nginx_hsts(self) -> str:
        """The site's lines of the map that selects which responses carry HSTS, inside a generation."""
        return f"sites/{self.name}.hsts"

    @property
    def nginx_http3(self) -> str:
        """The site's lines of the map that selects which responses announce HTTP/3. Only if the site has HTTP/3."""
        return f"sites/{self.name}{server_paths.NGINX_HTTP3}"

    @property
    def nginx_proof(self) -> str:
        """Lines of a map, inside a generation, with the secret that proves a request is Nginx's, if ports are used."""
        return f"sites/{self.name}.proof"

    @property
    def nginx_passwords(self) -> str:
        """The site's password file inside a generation."""
        return f"sites/{self.name}.htpasswd"

    @property
    def nginx_include(self) -> str:
        """The file of DEPLOY_NGINX_INCLUDE inside a generation."""
        return f"sites/{self.name}.include"

    @property
    def nginx_cache(self) -> str:
        return f"{server_paths.NGINX_CACHE}/portside-{self.name}"

    @property
    def context(self) -> str:
        """The files that the last image was built from. The next deploy sends only those that have changed."""
        return f"{server_paths.CONTEXTS}/{self.name}"

    @property
    def maintenance(self) -> str:
        """A folder. Its file ``closed`` closes the site; each file in ``allowed/`` names an address that is let in."""
        return f"{self.root}/maintenance"

    @property
    def certificates(self) -> str:
        """The folder of the site's certificate and its earlier versions."""
        return f"{server_paths.CERTIFICATES}/{self.name}"

    @property
    def certificate(self) -> str:
        """The certificate with its chain, by the path that Nginx uses."""
        return f"{self.certificates}/live/fullchain.pem"

    @property
    def certificate_key(self) -> str:
        return f"{self.certificates}/live/privkey.pem"

    @property
    def trial(self) -> str:
        """Certbot's name for a trial certificate, which proves that one can be issued. No site can have it."""
        return f"{self.name}.staging"

    @property
    def acme_authority(self) -> str:
        """The file of DEPLOY_ACME_CA on the server."""
        return f"{server_paths.ACME_AUTHORITIES}/{self.name}.pem"

    def acme_dns(self, *, trial: bool = False) -> str:
        """Return the path of DEPLOY_ACME_DNS_CREDENTIALS on the server, where certbot reads it at each renewal."""
        return f"{server_paths.ACME_DNS}/{self.trial if trial else self.name}"

    @property
    def access_log(self) -> str:
        return f"{server_paths.NGINX_LOGS}/{self.name}.access.log"

    @property
    def error_log(self) -> str:
        return f"{server_paths.NGINX_LOGS}/{self.name}.error.log"

    def release(self, identity: str) -> ReleasePaths:
        return ReleasePaths(self, identity)


@dataclass(frozen=True)
class ReleasePaths:
    """Names and paths of one release of a site."""

    site: Site
    id: str

    @property
    def root(self) -> str:
        return f"{self.site.releases}/{self.id}"

    @property
    def compose(self) -> str:
        return f"{self.root}/compose.yaml"

    @property
    def env(self) -> str:
        return f"{self.root}/env"

    @property
    def made_env(self) -> str:
        """Variables that Portside derives from the current settings, rewritten at every start."""
        return f"{self.root}/env.portside"

    @property
    def gunicorn(self) -> str:
        return f"{self.root}/gunicorn.conf.py"

    @property
    def healthy(self) -> str:
        """The health check script of its web containers."""
        return f"{self.root}/healthy.py"

    @property
    def record(self) -> str:
        return f"{self.root}/release.json"

    @property
    def pending(self) -> str:
        """The record of a release that isn't live yet."""
        return f"{self.root}/{server_paths.PENDING}"

    @property
    def listing(self) -> str:
        """Names and checksums of the files that the release was made from, for a plan to compare with."""
        return f"{self.root}/source.sums"

    @property
    def knowledge(self) -> str:
        """The release's models and migrations, for other releases to compare with. ``remote/ask.sh`` writes it."""
        return f"{self.root}/database.json"

    @property
    def name(self) -> str:
        """A file with the release's name, which Nginx serves on the loopback interface."""
        return f"{self.root}/id"

    @property
    def static(self) -> str:
        return f"{self.root}/static"

    @property
    def tmp(self) -> str:
        """The application's /tmp, on disk because an upload may be larger than memory."""
        return f"{self.root}/tmp"

    @property
    def run(self) -> str:
        """The folder of the application's sockets, bind-mounted into its containers."""
        return f"{self.root}/run"

    @property
    def run_inside(self) -> str:
        """The same folder inside a container. The path contains site and release, so that ``ss`` on the host shows to
        which release a connection belongs."""
        return f"/run/portside/{self.project}"

    def socket_inside(self, number: int, protocol: str) -> str:
        """Return the socket of one of its web containers, by its path inside that container."""
        return f"{self.run_inside}/{_socket(number, protocol)}"

    @property
    def layers(self) -> str:
        """A file that lists the layers of its image, if they were sent from a laptop."""
        return f"{self.root}/layers"

    @property
    def project(self) -> str:
        """The compose project of the release."""
        return f"{self.site.name}-{self.id}"

    @property
    def image(self) -> str:
        return f"portside/{self.site.name}:{self.id}"


def _socket(number: int, protocol: str) -> str:
    """Return a name for each protocol, so that Nginx never reaches a release that speaks another one."""
    return f"web-{number}.{'sock' if protocol == 'http' else protocol}"
