"""Settings: the content of a .env, typed, validated and frozen. Every error names the variable.

A field is one ``DEPLOY_`` name: what it belongs to (scope.py), its type, its default and its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..core.errors import Refused
from ..core.secret import Secret
from . import dotenv as config_dotenv
from . import names, scope, site_name, validation
from .dotenv import Dotenv
from .names import FAMILIES, PREFIX
from .scope import (
    APPLICATION,
    BUILD,
    CERTIFICATES,
    DATABASE,
    DJANGO_KIND,
    IMAGE,
    NGINX,
    RELEASE,
    SERVER,
    SITE,
    STATIC_KIND,
    STATIC_SITE,
    Scope,
    setting,
)
from .types import (
    DEFAULT_DATABASE,
    Agents,
    Application,
    BodySize,
    Build,
    CacheSize,
    Database,
    DebianPackages,
    Directory,
    DnsPlugin,
    Hosts,
    Key,
    KeyId,
    Kind,
    Mail,
    Memory,
    Names,
    Networks,
    PackageIndex,
    Page,
    Password,
    PathPairs,
    PortRange,
    Protocol,
    PythonPackages,
    PythonVersion,
    Rate,
    RegistryUser,
    Servers,
    SiteName,
    Switch,
    Time,
    Upstream,
    UrlPath,
    Users,
    Volumes,
    WorkerClass,
)


class Settings(BaseModel):
    """The settings in a site's ``.env``. Created by :meth:`load`; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    site: SiteName = setting(
        SITE,
        ...,
        "the site's name on the server, unique there; the first project deployed under it owns it",
    )
    hosts: Servers = setting(
        SITE, (), "the server or servers that tasks use without `-H`, in the form that `-H` takes", makes_release=False
    )
    domains: Hosts = setting(SITE, ..., "host names, comma-separated; the first is canonical", min_length=1)
    redirect_domains: Hosts = setting(
        SITE, (), "host names that redirect permanently to the canonical one", makes_release=False
    )
    kind: Kind = setting(SITE, DJANGO_KIND, "`django`: a Django project, or `static`: a folder of files")
    app: str = setting(
        SITE,
        ".",
        "the project's folder, relative to that of `.env`: the folder of manage.py, or one with a single"
        " manage.py below it; for a static site, the folder of its files",
    )
    build: Build = setting(
        IMAGE,
        "server",
        "where the image comes from: built on the `server`; `local`: built on this machine and uploaded;"
        " or the name of an image that the server pulls",
    )
    registry_user: RegistryUser | None = setting(
        IMAGE, None, "user name for the image registry, if it requires a login", makes_release=False
    )
    registry_password: Password | None = setting(
        IMAGE,
        None,
        "password or token for the registry; on the server only during the pull",
        exclude=True,
        makes_release=False,
    )
    dockerfile: str | None = setting(
        BUILD,
        None,
        "a Dockerfile, or `portside` for Portside's own; the app's own `Dockerfile` if it has one, else Portside's",
    )
    python: PythonVersion | None = setting(
        BUILD, None, "Python version for Portside's Dockerfile; the project's if it names one, else 3.13"
    )
    apt: DebianPackages = setting(BUILD, (), "extra Debian packages, for Portside's Dockerfile")
    pip: PythonPackages = setting(BUILD, (), "extra Python packages, for Portside's Dockerfile")
    build_args: Names = setting(BUILD, (), "names of build arguments whose values are in `.env`")
    build_secrets: Names = setting(BUILD, (), "names of build secrets (BuildKit) whose values are in `.env`")
    build_ca: str | None = setting(BUILD, None, "a CA bundle for the build")
    pip_index: PackageIndex | None = setting(BUILD, None, "a package index for the build")
    build_cache: CacheSize | None = setting(
        IMAGE,
        None,
        "limit of Docker's build cache after a deploy, as a share of the disk or a size; 10% on the "
        "server by default. With `DEPLOY_BUILD=local` it also applies to this machine, but only if it is"
        " set",
        makes_release=False,
    )
    files: PathPairs = setting(IMAGE, (), "LOCAL:PATH, comma-separated: additional files for the image")
    application: Application | None = setting(
        APPLICATION, None, "module:callable, WSGI or ASGI; Django's WSGI_APPLICATION by default"
    )
    worker_class: WorkerClass = setting(APPLICATION, "gthread", "Gunicorn's worker class")
    workers: int | None = setting(
        APPLICATION,
        None,
        "Gunicorn workers per web container; by the server's cores and memory by default",
        ge=1,
        le=256,
    )
    threads: int | None = setting(APPLICATION, None, "threads per Gunicorn worker", ge=1, le=256)
    preload: Switch = setting(
        APPLICATION,
        False,
        "on: load the application once, before Gunicorn forks its workers. Saves memory, but threads "
        "that the application starts while loading don't run in the workers",
    )
    memory: Memory | None = setting(APPLICATION, None, "memory limit of a web container")
    cpus: float | None = setting(APPLICATION, None, "CPU limit of a web container, in cores", ge=0.01, le=1024)
    ports: PortRange = setting(APPLICATION, "8100-8999", "range of the local ports for web containers")
    replicas: int = setting(APPLICATION, 1, "number of web containers", ge=1, le=64)
    upstream: Upstream = setting(
        APPLICATION,
        "socket",
        "how Nginx connects to Gunicorn: by unix `socket`, or by local `port`",
        makes_release=False,
    )
    protocol: Protocol = setting(APPLICATION, "http", "protocol between Nginx and Gunicorn: http or uwsgi")
    volumes: Volumes = setting(
        APPLICATION, (), "NAME:PATH, comma-separated: folders that all releases share, like media but not served"
    )
    collectstatic: Switch = setting(
        APPLICATION,
        True,
        "off: don't run collectstatic, for an app without STATIC_ROOT or with collected files in its image",
    )
    database: Database = setting(
        DATABASE, DEFAULT_DATABASE, "the database's image; `external`, if DATABASE_URL names another server; or `none`"
    )
    database_port: int | None = setting(
        DATABASE, None, "also publish the database on this port of 127.0.0.1", ge=1024, le=65535
    )
    allow_debug: Switch = setting(APPLICATION, False, "on: allow a deploy with DEBUG on, which is refused otherwise")
    before: str | None = setting(
        RELEASE, None, "command that runs in the new release before the switch", only=DJANGO_KIND
    )
    after: str | None = setting(
        RELEASE, None, "command that runs in the new release after the switch", only=DJANGO_KIND
    )
    health_path: UrlPath = setting(
        RELEASE,
        "/",
        "path of the health check; redirects within the site's names are followed, and the final page "
        "must answer below 400",
    )
    health_timeout: int = setting(
        RELEASE, 60, "seconds within which a release must be healthy", ge=1, le=3600, only=DJANGO_KIND
    )
    drain: int = setting(
        RELEASE,
        30,
        "seconds to wait for open connections to the old release",
        ge=0,
        le=3600,
        only=DJANGO_KIND,
        makes_release=False,
    )
    keep: int = setting(RELEASE, 5, "number of releases to keep", ge=2, le=100, makes_release=False)
    max_body: BodySize = setting(NGINX, "75m", "size limit of an upload", only=DJANGO_KIND)
    acme_email: Mail | None = setting(CERTIFICATES, None, "mail address for the certificate authority's notices")
    acme_server: Directory | None = setting(
        CERTIFICATES, None, "ACME directory of another certificate authority; Let's Encrypt by default"
    )
    acme_ca: str | None = setting(CERTIFICATES, None, "a CA bundle (PEM) to trust for that directory")
    acme_eab_kid: KeyId | None = setting(
        CERTIFICATES, None, "external account binding: the key's identifier, if the authority requires one"
    )
    acme_eab_hmac_key: Key | None = setting(CERTIFICATES, None, "external account binding: the key", exclude=True)
    acme_dns: DnsPlugin | None = setting(
        CERTIFICATES, None, "certbot plugin that proves names by DNS, such as cloudflare; wildcards require it"
    )
    acme_dns_credentials: str | None = setting(
        CERTIFICATES, None, "file with the plugin's credentials; on the server only root can read it"
    )
    acme_dns_seconds: int | None = setting(
        CERTIFICATES,
        None,
        "seconds until all name servers have the DNS record; the plugin's own default if not set",
        ge=0,
        le=3600,
    )
    tls_cert: str | None = setting(
        CERTIFICATES, None, "your own certificate (PEM): the site's first, then its issuers'"
    )
    tls_key: str | None = setting(CERTIFICATES, None, "private key of your own certificate (PEM)")
    hsts: int = setting(NGINX, 63072000, "seconds for which browsers must use HTTPS; 0 tells them to stop", ge=0)
    http3: Switch = setting(
        NGINX,
        False,
        "on: HTTP/3 besides HTTP/2, on UDP port 443, if the server's Nginx supports it and the site has HTTPS",
    )
    basic_auth: Users = setting(
        NGINX, (), "user:password, comma-separated: logins that may see the site; stored hashed", exclude=True
    )
    allow: Networks = setting(NGINX, (), "only these addresses and networks (CIDR) may see the site")
    deny: Networks = setting(NGINX, (), "these addresses and networks (CIDR) may not see the site")
    rate_limit: Rate | None = setting(
        NGINX,
        None,
        "rate limit of requests to the application per client address, with a burst of the same number; more get 429",
        only=DJANGO_KIND,
    )
    cache: Time | None = setting(
        NGINX, None, "how long Nginx caches responses for visitors without cookies", only=DJANGO_KIND
    )
    nginx_include: str | None = setting(NGINX, None, "your own file to include in the site's server block")
    real_ip: Networks = setting(
        NGINX, (), "proxies in front of the server (CIDR), whose X-Forwarded-For has the visitor's address"
    )
    block_agents: Agents = setting(NGINX, (), "drop requests whose User-Agent contains one of these words")
    fallback: Page | None = setting(
        STATIC_SITE,
        None,
        "static sites: the file to serve for paths that don't exist, such as index.html of a single-page"
        " application; missing files with a usual file ending still get 404",
    )
    firewall: Switch = setting(SERVER, True, "manage ufw, which opens sshd's own port, 80 and 443; off: don't touch it")

    processes: Mapping[str, str] = setting(
        APPLICATION, {}, "shell command of another process of the same image, such as a queue worker"
    )
    env: Mapping[str, Secret] = Field(exclude=True, description="the application's environment")
    dotenv: Dotenv = Field(exclude=True, description="the environment file they were read from")

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read and check a site's settings. Raises Refused with every fault at once."""
        dotenv = config_dotenv.read(path)
        steer = {name.removeprefix(PREFIX): v for name, v in dotenv.values.items() if name.startswith(PREFIX)}
        env = {name: value for name, value in dotenv.values.items() if not name.startswith(PREFIX)}
        fields = {name.lower(): value.reveal() for name, value in steer.items() if name.lower() in cls.known()}
        given = {name: value for name, value in fields.items() if value != ""}
        faults = [*dotenv.faults, *names.unknown(steer, cls.known()), *names.same_process(steer)]
        faults += [] if "site" in given else site_name.same_name(path)
        faults += [*names.of_no_use(steer, cls.scopes()), *names.secrets_missing(steer, env)]
        given.setdefault("site", site_name.site_name(path))
        try:
            settings = cls(**given, processes=names.processes(steer), env=env, dotenv=dotenv)  # type: ignore[arg-type]
            faults += names.of_the_build(settings)
        except ValidationError as error:
            faults += names.sentences(error.errors(), cls)
        if faults:
            there = f"Fix {path}" if path.exists() else f"There is no {path}: run fab init to create one,"
            raise Refused("\n".join(faults), hint=f"{there} and run the command again.")
        return settings

    @classmethod
    def scopes(cls) -> dict[str, Scope]:
        """Return what each setting belongs to, by its field's name."""
        return scope.scopes(cls)

    @classmethod
    def known(cls) -> set[str]:
        """Return the fields that are a ``DEPLOY_`` setting by themselves."""
        return set(cls.scopes()) - set(FAMILIES)

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        validation.check(self)
        return self

    @property
    def canonical(self) -> str:
        return self.domains[0]

    @property
    def port_range(self) -> tuple[int, int]:
        first, last = self.ports.split("-")
        return int(first), int(last)

    @property
    def health_location(self) -> str:
        """The health check's path, which Nginx exempts from access rules. Empty if it is the home page."""
        path = self.health_path.partition("?")[0]
        return "" if path == "/" else path

    @property
    def asynchronous(self) -> bool:
        """Whether the application is served as ASGI."""
        return self.worker_class == "asgi" or "uvicorn" in self.worker_class

    @property
    def containers(self) -> bool:
        """Whether the site runs in containers. A static site doesn't."""
        return self.kind != STATIC_KIND

    @property
    def pulls(self) -> bool:
        """Whether the application's image is pulled rather than built."""
        return self.build not in {"server", "local"}

    @property
    def own_database(self) -> bool:
        """Whether Portside runs the database."""
        return self.containers and self.database not in {"external", "none"}

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the settings start from: that of the .env file or of a link to it."""
        return self.dotenv.path.parent.resolve()

    @property
    def names(self) -> tuple[str, ...]:
        """Every host name of the site, the canonical one first."""
        return self.domains + self.redirect_domains

    def fingerprint(self) -> str:
        """Return a hash of the settings that distinguish releases. It reveals nothing about their values."""
        its_own = {name for name, scope in self.scopes().items() if scope.makes_release}
        steer = self.model_dump(mode="json", include=its_own)
        values = {name: value.reveal() for name, value in self.env.items()}
        return sha256(json.dumps([steer, values], sort_keys=True).encode()).hexdigest()


def contents(settings: Settings, field: str) -> bytes:
    """Return the content of the file that a setting names. Raises Refused if it can't be read."""
    try:
        return (settings.folder / str(getattr(settings, field))).read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Refused(
            f"{PREFIX}{field.upper()}: {getattr(settings, field)} can't be read: {why}.", state="Nothing was changed."
        ) from error
