"""Settings: what a .env says, typed, validated and frozen. An error names the variable.

A field is one ``DEPLOY_`` name: its type, its default and its meaning. A setting of the interface that this version
can't do yet stands in :data:`PLANNED` and is refused by name, so that nobody believes it is in force.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..core import secret
from ..core.errors import Refused
from ..core.secret import Secret
from . import dotenv as config_dotenv
from . import site_name, validation
from .dotenv import Dotenv
from .types import (
    SEPARATED,
    Build,
    Database,
    Directory,
    Hosts,
    Key,
    Mail,
    Names,
    Networks,
    Password,
    PathPair,
    Servers,
    SiteName,
    Switch,
    User,
    Volume,
    matching,
)

PREFIX = "DEPLOY_"

# Names of the interface that later versions will do, with the one value that changes nothing.
PLANNED = {
    "REDIS": "", "NOTIFY": "", "GPUS": "", "BACKUP_SCHEDULE": "", "BACKUP_KEEP": "7",
}  # fmt: skip
PLANNED_FAMILIES = ("CRON_",)
PROCESS = "PROCESS_"
FAMILIES = {"processes": f"{PROCESS}<NAME>"}  # fields that several settings make, as their names are written


class Settings(BaseModel):
    """All that a site's ``.env`` says. Made by :meth:`load`; never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    site: SiteName = Field(
        description="the site's name on the server, unique there; it belongs to the project that was built under it "
        "first"
    )
    hosts: Servers = Field((), description="where tasks go without `-H`: the server or servers, as `-H` takes them")
    domains: Hosts = Field(min_length=1, description="comma-separated; the first is canonical")
    redirect_domains: Hosts = Field((), description="redirect to the canonical one, permanently")
    kind: Annotated[str, matching(r"django|static", "django or static")] = Field(
        "django", description="what the site is: a Django project, or `static`: a folder of files"
    )
    app: str = Field(
        ".",
        description="the folder of the project, from that of `.env`: where manage.py is, or below which it is found "
        "once; of a static site, of its files",
    )
    build: Build = Field(
        "server",
        description="where the image comes from: built on the `server`, or `local`: built here and shipped; or an "
        "image to pull there",
    )
    registry_user: Annotated[str, matching(r"[^\s:]{1,200}", "a name without a colon")] | None = Field(
        None, description="as whom the image is pulled, where its registry asks for a name"
    )
    registry_password: Password | None = Field(
        None, exclude=True, description="the password or token; on the server for the time of the pull alone"
    )
    dockerfile: str | None = Field(None, description="the app's own Dockerfile if it has one, else Portside's")
    python: Annotated[str, matching(r"3\.\d{1,2}", "a version such as 3.13")] | None = Field(
        None, description="for Portside's Dockerfile; from the project, else 3.13"
    )
    apt: Annotated[
        tuple[Annotated[str, matching(r"[a-z0-9][a-z0-9.+-]*", "Debian packages, comma-separated")], ...],
        SEPARATED,
    ] = Field((), description="extra Debian packages, for Portside's Dockerfile")
    pip: Annotated[
        tuple[Annotated[str, matching(r"[A-Za-z0-9][\w.\[\]<>=!~-]*", "Python packages, comma-separated")], ...],
        SEPARATED,
    ] = Field((), description="extra Python packages, for Portside's Dockerfile")
    build_args: Names = Field((), description="names of build arguments, taken from .env")
    build_secrets: Names = Field((), description="names of build secrets (BuildKit), taken from .env")
    build_ca: str | None = Field(None, description="a CA bundle for the build")
    pip_index: Annotated[str, matching(r"https?://[!-~]+", "the http(s) address of a package index")] | None = Field(
        None, description="a package index for the build"
    )
    build_cache: (
        Annotated[str, matching(r"0|[1-9]\d?%|[1-9]\d*[mg]", "a share such as 10% or a size such as 5g")] | None
    ) = Field(
        None,
        description="how large Docker's build cache may be after a deploy, as a share of the disk or a size; 10% on "
        "the server if not given. With `DEPLOY_BUILD=local` it also holds on this machine, but only if it is given",
    )
    files: Annotated[tuple[PathPair, ...], SEPARATED] = Field(
        (), description="LOCAL:PATH, comma-separated: more files for the image"
    )
    application: Annotated[str, matching(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "module:callable")] | None = Field(
        None, description="module:callable, WSGI or ASGI; Django's WSGI_APPLICATION if not given"
    )
    worker_class: Annotated[str, matching(r"[A-Za-z_][\w.]*", "one of Gunicorn's worker classes")] = Field(
        "gthread", description="Gunicorn's worker class"
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Gunicorn's workers in a web container; by the server's cores and memory if not given",
    )
    threads: int | None = Field(None, ge=1, le=256, description="Gunicorn's threads a worker")
    preload: Switch = Field(
        False,
        description="on: load the application once, before Gunicorn forks its workers. Saves memory; threads that the "
        "application starts while it loads don't run in them",
    )
    memory: Annotated[str, matching(r"[1-9]\d*[kmg]", "a size such as 512m or 2g")] | None = Field(
        None, description="memory limit of a web container"
    )
    cpus: float | None = Field(None, ge=0.01, le=1024, description="limit of a web container, in cores")
    ports: Annotated[str, matching(r"\d{4,5}-\d{4,5}", "a range such as 8100-8999")] = Field(
        "8100-8999", description="where the local ports are taken from"
    )
    replicas: int = Field(1, ge=1, le=64, description="web containers behind the upstream")
    upstream: Annotated[str, matching(r"socket|port", "socket or port")] = Field(
        "socket", description="how Nginx reaches Gunicorn: by its unix sockets, or by its local ports"
    )
    protocol: Annotated[str, matching(r"http|uwsgi", "http or uwsgi")] = Field(
        "http", description="spoken between Nginx and Gunicorn: http or uwsgi"
    )
    volumes: Annotated[tuple[Volume, ...], SEPARATED] = Field(
        (), description="NAME:PATH: folders shared by all releases, like media but not served"
    )
    collectstatic: Switch = Field(
        True, description="off for an app that has no STATIC_ROOT or ships its files collected"
    )
    database: Database = Field(
        "postgres:17", description="the database's image; external (DATABASE_URL says where); none"
    )
    database_port: int | None = Field(
        None, ge=1024, le=65535, description="also publish the database on 127.0.0.1 here"
    )
    allow_debug: Switch = Field(False, description="DEBUG on is refused otherwise")
    before: str | None = Field(None, description="command in the new release before the switch")
    after: str | None = Field(None, description="command in the new release after the switch")
    health_path: Annotated[str, matching(r"/[A-Za-z0-9._~/?=&%+-]*", "a path such as /healthz")] = Field(
        "/",
        description="path of the health check; redirects within the site's names are followed, and the page they "
        "end at must answer below 400",
    )
    health_timeout: int = Field(60, ge=1, le=3600, description="seconds until a release must be healthy")
    drain: int = Field(30, ge=0, le=3600, description="seconds that old connections are given")
    keep: int = Field(5, ge=2, le=100, description="releases kept")
    max_body: Annotated[str, matching(r"\d+[kmg]?", "a size such as 75m")] = Field("75m", description="largest upload")
    acme_email: Mail | None = Field(None, description="whom the certificate authority may write to")
    acme_server: Directory | None = Field(
        None, description="another authority's ACME directory; Let's Encrypt's if not given"
    )
    acme_ca: str | None = Field(None, description="a CA bundle (PEM) to trust for that directory")
    acme_eab_kid: Annotated[str, matching(r"[\w.=+/-]+", "letters, digits, - and _")] | None = Field(
        None, description="external account binding: the key's identifier, where the authority asks for one"
    )
    acme_eab_hmac_key: Key | None = Field(None, exclude=True, description="external account binding: the key")
    acme_dns: Annotated[str, matching(r"[a-z0-9][a-z0-9-]{0,40}", "a plugin such as cloudflare or rfc2136")] | None = (
        Field(None, description="prove names by their DNS, by this plugin of certbot's: wildcards need it")
    )
    acme_dns_credentials: str | None = Field(
        None, description="the plugin's credentials: a file, which goes to the server for root alone to read"
    )
    acme_dns_seconds: int | None = Field(
        None, ge=0, le=3600, description="until all name servers have the proof; the plugin's own if not given"
    )
    tls_cert: str | None = Field(
        None, description="a certificate of your own instead (PEM): the site's, then those of its issuers"
    )
    tls_key: str | None = Field(None, description="its private key (PEM)")
    hsts: int = Field(
        63072000, ge=0, description="seconds for which browsers remember to use HTTPS; 0 makes them forget it"
    )
    http3: Switch = Field(
        False, description="HTTP/3 beside HTTP/2, by UDP port 443: where the server's Nginx can, once there is HTTPS"
    )
    basic_auth: Annotated[tuple[User, ...], SEPARATED] = Field(
        (), exclude=True, description="user:password, comma-separated: who may see the site; stored hashed"
    )
    allow: Networks = Field((), description="addresses and networks (CIDR) that alone may see the site")
    deny: Networks = Field((), description="addresses and networks (CIDR) that may not")
    rate_limit: Annotated[str, matching(r"[1-9]\d{0,5}r/[sm]", "a rate such as 20r/s or 60r/m")] | None = Field(
        None, description="requests of one address to the application; as many at once; more are answered 429"
    )
    cache: Annotated[str, matching(r"[1-9]\d{0,4}[smh]", "a time such as 10s")] | None = Field(
        None, description="how long Nginx keeps answers for visitors without cookies"
    )
    nginx_include: str | None = Field(None, description="a file of yours, put into the site's server block")
    real_ip: Networks = Field(
        (), description="proxies in front (CIDR) whose X-Forwarded-For tells the visitor's address"
    )
    block_agents: Annotated[
        tuple[
            Annotated[str, matching(r"\w([\w ./-]*\w)?", "words such as GPTBot, comma-separated")],
            ...,
        ],
        SEPARATED,
    ] = Field((), description="whole words of what a client calls itself: such crawlers get no answer")
    fallback: (
        Annotated[
            str,
            matching(
                r"(?:(?!\.)[\w.@+~-]+/)*(?!\.)[\w.@+~-]*\w\.html?", "a page in the site's folder such as index.html"
            ),
        ]
        | None
    ) = Field(
        None,
        description="static sites: the file served for paths that don't exist, such as index.html of a single-page "
        "application; files of the usual endings are still not found (404)",
    )
    firewall: Switch = Field(True, description="ufw: sshd's own port, 80 and 443; off leaves it alone")

    processes: Mapping[str, str] = Field(
        {}, description="another process of the same image, e.g. a queue worker: its command, a shell line"
    )
    env: Mapping[str, Secret] = Field(exclude=True, description="the application's environment")
    dotenv: Dotenv = Field(exclude=True, description="where all this was read")

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read and check a site's settings. Raises Refused with every fault at once."""
        dotenv = config_dotenv.read(path)
        steer = {name.removeprefix(PREFIX): v for name, v in dotenv.values.items() if name.startswith(PREFIX)}
        env = {name: value for name, value in dotenv.values.items() if not name.startswith(PREFIX)}
        fields = {name.lower(): value.reveal() for name, value in steer.items() if name.lower() in cls.known()}
        given = {name: value for name, value in fields.items() if value != ""}
        faults = [*dotenv.faults, *_unknown(steer), *_same_process(steer)]
        faults += [] if "site" in given else site_name.same_name(path)
        faults += _of_no_use(steer)
        faults += [] if _is_static(steer) else _secrets_missing(steer, env)
        given.setdefault("site", site_name.site_name(path))
        try:
            settings = cls(**given, processes=_processes(steer), env=env, dotenv=dotenv)  # type: ignore[arg-type]
            faults += _missing_names(settings)
        except ValidationError as error:
            faults += dict.fromkeys(_sentence(detail) for detail in _first_of_each(error.errors()))
        if faults:
            there = f"Mend {path}" if path.exists() else f"There is no {path}: type fab init to make one,"
            raise Refused("\n".join(faults), hint=f"{there} and type the same command again.")
        return settings

    @classmethod
    def known(cls) -> set[str]:
        """Fields that are a ``DEPLOY_`` setting."""
        return set(cls.model_fields) - {*FAMILIES, "env", "dotenv"}

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
        """The health check's path where it is its own, so that it can be treated unlike the rest; else empty."""
        path = self.health_path.partition("?")[0]
        return "" if path == "/" else path

    @property
    def asynchronous(self) -> bool:
        """Whether the application is served as ASGI."""
        return self.worker_class == "asgi" or "uvicorn" in self.worker_class

    @property
    def containers(self) -> bool:
        """Whether the site is an application, which runs in containers; a folder of files needs none."""
        return self.kind != "static"

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
        """The folder that relative paths of the settings start from: where the .env file is, or a link to it."""
        return self.dotenv.path.parent.resolve()

    @property
    def names(self) -> tuple[str, ...]:
        """Every host name of the site, the canonical one first."""
        return self.domains + self.redirect_domains

    def fingerprint(self) -> str:
        """A hash of everything here that makes one release differ from another. Tells nothing of the values."""
        not_its_own = {"keep", "drain", "upstream", "build_cache", "dotenv", "env", *_OF_THE_SERVER}
        steer = self.model_dump(mode="json", exclude=not_its_own)
        values = {name: value.reveal() for name, value in self.env.items()}
        return sha256(json.dumps([steer, values], sort_keys=True).encode()).hexdigest()


# What concerns Nginx, certificates and the firewall, and no release.
_OF_THE_SERVER = {
    "registry_user", "redirect_domains", "max_body", "firewall", "acme_email", "acme_server", "acme_ca", "acme_eab_kid",
    "acme_eab_hmac_key", "acme_dns", "acme_dns_credentials", "acme_dns_seconds", "tls_cert", "tls_key", "hsts", "http3",
    "basic_auth", "allow", "deny", "rate_limit", "cache", "nginx_include", "real_ip", "block_agents", "hosts",
    "fallback",
}  # fmt: skip


# What a folder of files has a use for. Whatever else is set for one is refused: nobody is to believe it is in force.
_OF_A_FOLDER = {
    "site", "hosts", "kind", "domains", "redirect_domains", "app", "health_path", "keep", "firewall", "acme_email",
    "acme_server", "acme_ca", "acme_eab_kid", "acme_eab_hmac_key", "acme_dns", "acme_dns_credentials",
    "acme_dns_seconds", "tls_cert", "tls_key", "hsts", "http3", "basic_auth", "allow", "deny", "nginx_include",
    "real_ip", "block_agents", "fallback",
}  # fmt: skip
_OF_A_FOLDER_ALONE = {"fallback"}


def whereabouts(path: Path) -> tuple[bool, str]:
    """Of a site, before its settings are checked: whether they say where it is, and the site's name."""
    with suppress(Refused):
        values = config_dotenv.read(path).values
        name = values[f"{PREFIX}SITE"].reveal() if f"{PREFIX}SITE" in values else ""
        hosts = values[f"{PREFIX}HOSTS"].reveal() if f"{PREFIX}HOSTS" in values else ""
        return bool(hosts.strip()), name or site_name.site_name(path)
    return False, site_name.site_name(path)


def contents(settings: Settings, field: str) -> bytes:
    """The file that a setting names. Raises Refused."""
    try:
        return (settings.folder / str(getattr(settings, field))).read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Refused(
            f"{PREFIX}{field.upper()}: {getattr(settings, field)} can't be read: {why}.", state="Nothing was changed."
        ) from error


def _unknown(steer: Mapping[str, Secret]) -> list[str]:
    return [fault for name, value in steer.items() if (fault := _unknown_name(name, value.reveal()))]


def _unknown_name(name: str, value: str) -> str:
    if name.lower() in Settings.known():
        return ""
    if name.startswith(PROCESS):
        good = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]{0,30}", name.removeprefix(PROCESS))
        return "" if good else f"DEPLOY_{name}: a process is named by letters, digits and _, at most 31."
    if name in PLANNED or name.startswith(PLANNED_FAMILIES):
        ignorable = value in {"", PLANNED.get(name)}
        return "" if ignorable else f"DEPLOY_{name} isn't built yet in this version of Portside: take it out for now."
    known = [*(field.upper() for field in Settings.known()), *PLANNED]
    close = difflib.get_close_matches(name, known, n=1)
    return f"DEPLOY_{name} is no setting" + (f"; did you mean DEPLOY_{close[0]}?" if close else ".")


def _processes(steer: Mapping[str, Secret]) -> dict[str, str]:
    """What DEPLOY_PROCESS_<NAME> say: names as containers have them, and shell lines."""
    lines = {_process(name): value.reveal() for name, value in sorted(steer.items()) if name.startswith(PROCESS)}
    return {name: line for name, line in lines.items() if line.strip()}


def _process(name: str) -> str:
    return name.removeprefix(PROCESS).lower().replace("_", "-")


def _same_process(steer: Mapping[str, Secret]) -> list[str]:
    named = [_process(name) for name in steer if name.startswith(PROCESS)]
    return [f"Several of DEPLOY_{PROCESS}* name the process {name}." for name in set(named) if named.count(name) > 1]


def _is_static(steer: Mapping[str, Secret]) -> bool:
    return "KIND" in steer and steer["KIND"].reveal() == "static"


def _of_no_use(steer: Mapping[str, Secret]) -> list[str]:
    """What is set for a folder of files and only an application has a use for, or the other way round."""
    harmless = {"DATABASE": {"none", Settings.model_fields["database"].default}, "BUILD": {"server"}}
    site, useless = ("a static site", _of_an_application) if _is_static(steer) else ("an application", _of_a_folder)
    return [
        f"DEPLOY_{name}: {site} has no use for it: take it out."
        for name, value in steer.items()
        if useless(name) and value.reveal().strip() not in harmless.get(name, set()) | {""}
    ]


def _of_a_folder(name: str) -> bool:
    return name.lower() in _OF_A_FOLDER_ALONE


def _of_an_application(name: str) -> bool:
    return name.lower() in Settings.known() - _OF_A_FOLDER or name.startswith(PROCESS)


def _secrets_missing(steer: Mapping[str, Secret], env: Mapping[str, Secret]) -> list[str]:
    """SECRET_KEY and, where Portside runs the database, POSTGRES_PASSWORD have no default that would be safe."""
    elsewhere = "DATABASE" in steer and steer["DATABASE"].reveal() in {"external", "none"}
    needed = ["SECRET_KEY"] if elsewhere else ["SECRET_KEY", "POSTGRES_PASSWORD"]
    faults = {name: secret.weakness(env[name].reveal()) if name in env else "is missing" for name in needed}
    return [
        f"{name} {fault}: fab init{' --env new.env' * (fault != 'is missing')} makes a .env with one generated."
        for name, fault in faults.items()
        if fault
    ]


def _missing_names(settings: Settings) -> list[str]:
    """Build arguments and secrets that name a variable which isn't there."""
    wanted = {"DEPLOY_BUILD_ARGS": settings.build_args, "DEPLOY_BUILD_SECRETS": settings.build_secrets}
    return [
        f"{setting} names {name}, which isn't in the environment file."
        for setting, names in wanted.items()
        for name in names
        if name not in settings.env
    ]


def _first_of_each(details: list[Any]) -> list[Any]:
    """Drop "too short" where the parts themselves were at fault: it would only confuse."""
    at_fault = {detail["loc"][0] for detail in details if len(detail["loc"]) > 1}
    return [d for d in details if not (d["type"] == "too_short" and d["loc"][0] in at_fault)]


def _sentence(detail: Any) -> str:
    """One pydantic error as a sentence that begins with the variable's name."""
    message = re.sub(r"^Value error, ", "", str(detail["msg"]))
    if not detail["loc"]:
        return f"{message}."
    name = PREFIX + str(detail["loc"][0]).upper()
    if detail["type"] == "missing" or detail["type"] == "too_short":
        return f"{name} is missing: {Settings.model_fields[str(detail['loc'][0])].description}."
    return f"{name}: {message}."
