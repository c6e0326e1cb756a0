"""Site: every name and every path of a site on the server. Nobody else spells one.

The layout under ``/srv/portside/<site>`` and the reasons for it are in docs/design.md.
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
        """Who owns the name: domains and database of the last deploy."""
        return f"{self.root}/site.json"

    @property
    def settings(self) -> str:
        """The environment file of the last deploy, for root alone: ``fab env --pull`` brings it back."""
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
        """A file that holds some space: a rollback on a full disk removes it. Docker may have a disk of its own."""
        return f"{self.root}/reserve"

    @property
    def removing(self) -> str:
        """A file that says that the site is being taken away, and which folder has its final backup."""
        return f"{self.root}/removing"

    def final_backup(self, clock: str) -> str:
        """The folder of a final backup: a site's own folder has those of each of its removals."""
        return f"{server_paths.BACKUPS}/{self.name}/{clock}"

    @property
    def dumps(self) -> str:
        """The folder of the dumps that are made before migrations."""
        return f"{self.root}/backups"

    def dump(self, name: str) -> str:
        """The database as it was before it was migrated."""
        return f"{self.dumps}/before-{name}.dump"

    @property
    def live_compose(self) -> str:
        """The live release's compose file."""
        return f"{self.current}/compose.yaml"

    @property
    def live_static(self) -> str:
        """The live release's static files, as Nginx names them."""
        return f"{self.current}/static"

    @property
    def static_pool(self) -> str:
        """Links to the static files of every kept release, below their URL, for pages loaded before a switch."""
        return f"{self.root}/static-pool"

    @property
    def switching(self) -> str:
        """The live release's record while its switch isn't finished, as Nginx names it."""
        return f"{self.current}/{server_paths.PENDING}"

    def live_socket(self, number: int, protocol: str) -> str:
        """The socket of one of the live release's web containers, as Nginx names it."""
        return f"{self.current}/run/{_socket(number, protocol)}"

    def volume(self, name: str) -> str:
        """A folder of DEPLOY_VOLUMES."""
        return f"{self.root}/volumes/{name}"

    @property
    def layers(self) -> str:
        """The layers of the images that were built on a laptop, compressed, each named by the hash of its content."""
        return f"{self.root}/layers"

    @property
    def pulled(self) -> str:
        """What the image is called that was pulled last (DEPLOY_BUILD)."""
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
        """The password that it gets with the next release."""
        return f"{self.data_password}.next"

    @property
    def data_open(self) -> str:
        """A file that is there while releases of two passwords connect to the database: it names the live one."""
        return f"{self.data}/open"

    @property
    def data_begun(self) -> str:
        """When the database was first started, until it is ready."""
        return f"{self.data}/begun"

    @property
    def migrating(self) -> str:
        """A file that is there from the beginning of a migration to its good end."""
        return f"{self.root}/migrating"

    @property
    def data_ready(self) -> str:
        """When the database was ready for the first time, and PostgreSQL's number for it: it is never made anew after
        that."""
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
        """The site's one Docker network: an engine has room for some thirty, so a release can't have its own."""
        return f"portside-{self.name}"

    @property
    def nginx_file(self) -> str:
        """The site's file inside a generation."""
        return f"sites/{self.name}.conf"

    @property
    def nginx_hsts(self) -> str:
        """The site's lines of the map that says which answers carry HSTS, inside a generation."""
        return f"sites/{self.name}.hsts"

    @property
    def nginx_http3(self) -> str:
        """The site's lines of the map that says which answers tell of HTTP/3; there only where the site has it."""
        return f"sites/{self.name}{server_paths.NGINX_HTTP3}"

    @property
    def nginx_proof(self) -> str:
        """What proves that Nginx asks: lines of a map, inside a generation. Only if it uses the local ports."""
        return f"sites/{self.name}.proof"

    @property
    def nginx_passwords(self) -> str:
        """The site's password file inside a generation."""
        return f"sites/{self.name}.htpasswd"

    @property
    def nginx_include(self) -> str:
        """DEPLOY_NGINX_INCLUDE inside a generation."""
        return f"sites/{self.name}.include"

    @property
    def nginx_cache(self) -> str:
        return f"{server_paths.NGINX_CACHE}/portside-{self.name}"

    @property
    def context(self) -> str:
        """What the last image was built of, kept so that the next deploy sends but what has changed."""
        return f"{server_paths.CONTEXTS}/{self.name}"

    @property
    def maintenance(self) -> str:
        """A folder whose file ``closed`` closes the site, but for the addresses that ``allowed/`` has files of."""
        return f"{self.root}/maintenance"

    @property
    def certificates(self) -> str:
        """The folder of the site's certificate, in each of its versions."""
        return f"{server_paths.CERTIFICATES}/{self.name}"

    @property
    def certificate(self) -> str:
        """The certificate and those of its issuers, as Nginx names them."""
        return f"{self.certificates}/live/fullchain.pem"

    @property
    def certificate_key(self) -> str:
        return f"{self.certificates}/live/privkey.pem"

    @property
    def trial(self) -> str:
        """What certbot calls a certificate that only proves it could be issued: a name that no site can have."""
        return f"{self.name}.staging"

    @property
    def acme_authority(self) -> str:
        """DEPLOY_ACME_CA on the server."""
        return f"{server_paths.ACME_AUTHORITIES}/{self.name}.pem"

    def acme_dns(self, *, trial: bool = False) -> str:
        """DEPLOY_ACME_DNS_CREDENTIALS on the server, where certbot reads it at each renewal."""
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
        """What Portside makes of the present settings, written anew at every start."""
        return f"{self.root}/env.portside"

    @property
    def gunicorn(self) -> str:
        return f"{self.root}/gunicorn.conf.py"

    @property
    def healthy(self) -> str:
        """The health check of its web containers."""
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
        """What files the release was made of, for a plan to compare with."""
        return f"{self.root}/source.sums"

    @property
    def knowledge(self) -> str:
        """What the release knows of the database, for others to be compared with: ``remote/ask.sh`` writes it."""
        return f"{self.root}/database.json"

    @property
    def name(self) -> str:
        """A file that holds the release's name, which Nginx shows to this machine."""
        return f"{self.root}/id"

    @property
    def static(self) -> str:
        return f"{self.root}/static"

    @property
    def tmp(self) -> str:
        """The application's /tmp, on the disk: an upload waits there, and may be larger than memory."""
        return f"{self.root}/tmp"

    @property
    def run(self) -> str:
        """The folder of the application's sockets, bind-mounted out of its containers."""
        return f"{self.root}/run"

    @property
    def run_inside(self) -> str:
        """The same folder inside a container. Site and release are in it, so that ``ss`` on the host tells whose
        connections it sees."""
        return f"/run/portside/{self.project}"

    def socket_inside(self, number: int, protocol: str) -> str:
        """The socket of one of its web containers, as that container names it."""
        return f"{self.run_inside}/{_socket(number, protocol)}"

    @property
    def layers(self) -> str:
        """A file that names the layers of its image, where these were sent."""
        return f"{self.root}/layers"

    @property
    def project(self) -> str:
        """The compose project of the release."""
        return f"{self.site.name}-{self.id}"

    @property
    def image(self) -> str:
        return f"portside/{self.site.name}:{self.id}"


def _socket(number: int, protocol: str) -> str:
    """A name for each protocol: whoever asks in one never meets a release that speaks the other."""
    return f"web-{number}.{'sock' if protocol == 'http' else protocol}"
