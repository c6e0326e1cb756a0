"""Settings: the content of a .env, typed, validated and frozen. Every error names the variable.

A field is one ``DEPLOY_`` name: its type, its default and its meaning. A setting that this version of Portside
doesn't support yet is in :data:`PLANNED` and refused by name, so that it isn't ignored unnoticed.
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

# Settings that later versions will support, with the one value that has no effect.
PLANNED = {
    "REDIS": "", "NOTIFY": "", "GPUS": "", "BACKUP_SCHEDULE": "", "BACKUP_KEEP": "7",
}  # fmt: skip
PLANNED_FAMILIES = ("CRON_",)
PROCESS = "PROCESS_"
FAMILIES = {"processes": f"{PROCESS}<NAME>"}  # fields that several settings fill: field -> the form of their names


class Settings(BaseModel):
    """The settings in a site's ``.env``. Created by :meth:`load`; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    site: SiteName = Field(
        description="the site's name on the server, unique there; the first project deployed under it owns it"
    )
    hosts: Servers = Field(
        (), description="the server or servers that tasks use without `-H`, in the form that `-H` takes"
    )
    domains: Hosts = Field(min_length=1, description="host names, comma-separated; the first is canonical")
    redirect_domains: Hosts = Field((), description="host names that redirect permanently to the canonical one")
    kind: Annotated[str, matching(r"django|static", "django or static")] = Field(
        "django", description="`django`: a Django project, or `static`: a folder of files"
    )
    app: str = Field(
        ".",
        description="the project's folder, relative to that of `.env`: the folder of manage.py, or one with a single"
        " manage.py below it; for a static site, the folder of its files",
    )
    build: Build = Field(
        "server",
        description="where the image comes from: built on the `server`; `local`: built on this machine and uploaded;"
        " or the name of an image that the server pulls",
    )
    registry_user: Annotated[str, matching(r"[^\s:]{1,200}", "a name without a colon")] | None = Field(
        None, description="user name for the image registry, if it requires a login"
    )
    registry_password: Password | None = Field(
        None, exclude=True, description="password or token for the registry; on the server only during the pull"
    )
    dockerfile: str | None = Field(
        None,
        description="a Dockerfile, or `portside` for Portside's own; the app's own `Dockerfile` if it has one, else "
        "Portside's",
    )
    python: Annotated[str, matching(r"3\.\d{1,2}", "a version such as 3.13")] | None = Field(
        None, description="Python version for Portside's Dockerfile; the project's if it names one, else 3.13"
    )
    apt: Annotated[
        tuple[Annotated[str, matching(r"[a-z0-9][a-z0-9.+-]*", "Debian packages, comma-separated")], ...],
        SEPARATED,
    ] = Field((), description="extra Debian packages, for Portside's Dockerfile")
    pip: Annotated[
        tuple[Annotated[str, matching(r"[A-Za-z0-9][\w.\[\]<>=!~-]*", "Python packages, comma-separated")], ...],
        SEPARATED,
    ] = Field((), description="extra Python packages, for Portside's Dockerfile")
    build_args: Names = Field((), description="names of build arguments whose values are in `.env`")
    build_secrets: Names = Field((), description="names of build secrets (BuildKit) whose values are in `.env`")
    build_ca: str | None = Field(None, description="a CA bundle for the build")
    pip_index: Annotated[str, matching(r"https?://[!-~]+", "the http(s) address of a package index")] | None = Field(
        None, description="a package index for the build"
    )
    build_cache: (
        Annotated[str, matching(r"0|[1-9]\d?%|[1-9]\d*[mg]", "a share such as 10% or a size such as 5g")] | None
    ) = Field(
        None,
        description="limit of Docker's build cache after a deploy, as a share of the disk or a size; 10% on the "
        "server by default. With `DEPLOY_BUILD=local` it also applies to this machine, but only if it is"
        " set",
    )
    files: Annotated[tuple[PathPair, ...], SEPARATED] = Field(
        (), description="LOCAL:PATH, comma-separated: additional files for the image"
    )
    application: Annotated[str, matching(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "module:callable")] | None = Field(
        None, description="module:callable, WSGI or ASGI; Django's WSGI_APPLICATION by default"
    )
    worker_class: Annotated[str, matching(r"[A-Za-z_][\w.]*", "one of Gunicorn's worker classes")] = Field(
        "gthread", description="Gunicorn's worker class"
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Gunicorn workers per web container; by the server's cores and memory by default",
    )
    threads: int | None = Field(None, ge=1, le=256, description="threads per Gunicorn worker")
    preload: Switch = Field(
        False,
        description="on: load the application once, before Gunicorn forks its workers. Saves memory, but threads "
        "that the application starts while loading don't run in the workers",
    )
    memory: Annotated[str, matching(r"[1-9]\d*[kmg]", "a size such as 512m or 2g")] | None = Field(
        None, description="memory limit of a web container"
    )
    cpus: float | None = Field(None, ge=0.01, le=1024, description="CPU limit of a web container, in cores")
    ports: Annotated[str, matching(r"\d{4,5}-\d{4,5}", "a range such as 8100-8999")] = Field(
        "8100-8999", description="range of the local ports for web containers"
    )
    replicas: int = Field(1, ge=1, le=64, description="number of web containers")
    upstream: Annotated[str, matching(r"socket|port", "socket or port")] = Field(
        "socket", description="how Nginx connects to Gunicorn: by unix `socket`, or by local `port`"
    )
    protocol: Annotated[str, matching(r"http|uwsgi", "http or uwsgi")] = Field(
        "http", description="protocol between Nginx and Gunicorn: http or uwsgi"
    )
    volumes: Annotated[tuple[Volume, ...], SEPARATED] = Field(
        (), description="NAME:PATH, comma-separated: folders that all releases share, like media but not served"
    )
    collectstatic: Switch = Field(
        True,
        description="off: don't run collectstatic, for an app without STATIC_ROOT or with collected files in its image",
    )
    database: Database = Field(
        "postgres:17", description="the database's image; `external`, if DATABASE_URL names another server; or `none`"
    )
    database_port: int | None = Field(
        None, ge=1024, le=65535, description="also publish the database on this port of 127.0.0.1"
    )
    allow_debug: Switch = Field(False, description="on: allow a deploy with DEBUG on, which is refused otherwise")
    before: str | None = Field(None, description="command that runs in the new release before the switch")
    after: str | None = Field(None, description="command that runs in the new release after the switch")
    health_path: Annotated[str, matching(r"/[A-Za-z0-9._~/?=&%+-]*", "a path such as /healthz")] = Field(
        "/",
        description="path of the health check; redirects within the site's names are followed, and the final page "
        "must answer below 400",
    )
    health_timeout: int = Field(60, ge=1, le=3600, description="seconds within which a release must be healthy")
    drain: int = Field(30, ge=0, le=3600, description="seconds to wait for open connections to the old release")
    keep: int = Field(5, ge=2, le=100, description="number of releases to keep")
    max_body: Annotated[str, matching(r"\d+[kmg]?", "a size such as 75m")] = Field(
        "75m", description="size limit of an upload"
    )
    acme_email: Mail | None = Field(None, description="mail address for the certificate authority's notices")
    acme_server: Directory | None = Field(
        None, description="ACME directory of another certificate authority; Let's Encrypt by default"
    )
    acme_ca: str | None = Field(None, description="a CA bundle (PEM) to trust for that directory")
    acme_eab_kid: Annotated[str, matching(r"[\w.=+/-]+", "letters, digits, - and _")] | None = Field(
        None, description="external account binding: the key's identifier, if the authority requires one"
    )
    acme_eab_hmac_key: Key | None = Field(None, exclude=True, description="external account binding: the key")
    acme_dns: Annotated[str, matching(r"[a-z0-9][a-z0-9-]{0,40}", "a plugin such as cloudflare or rfc2136")] | None = (
        Field(None, description="certbot plugin that proves names by DNS, such as cloudflare; wildcards require it")
    )
    acme_dns_credentials: str | None = Field(
        None, description="file with the plugin's credentials; on the server only root can read it"
    )
    acme_dns_seconds: int | None = Field(
        None,
        ge=0,
        le=3600,
        description="seconds until all name servers have the DNS record; the plugin's own default if not set",
    )
    tls_cert: str | None = Field(None, description="your own certificate (PEM): the site's first, then its issuers'")
    tls_key: str | None = Field(None, description="private key of your own certificate (PEM)")
    hsts: int = Field(63072000, ge=0, description="seconds for which browsers must use HTTPS; 0 tells them to stop")
    http3: Switch = Field(
        False,
        description="on: HTTP/3 besides HTTP/2, on UDP port 443, if the server's Nginx supports it and the site has "
        "HTTPS",
    )
    basic_auth: Annotated[tuple[User, ...], SEPARATED] = Field(
        (), exclude=True, description="user:password, comma-separated: logins that may see the site; stored hashed"
    )
    allow: Networks = Field((), description="only these addresses and networks (CIDR) may see the site")
    deny: Networks = Field((), description="these addresses and networks (CIDR) may not see the site")
    rate_limit: Annotated[str, matching(r"[1-9]\d{0,5}r/[sm]", "a rate such as 20r/s or 60r/m")] | None = Field(
        None,
        description="rate limit of requests to the application per client address, with a burst of the same number; "
        "more get 429",
    )
    cache: Annotated[str, matching(r"[1-9]\d{0,4}[smh]", "a time such as 10s")] | None = Field(
        None, description="how long Nginx caches responses for visitors without cookies"
    )
    nginx_include: str | None = Field(None, description="your own file to include in the site's server block")
    real_ip: Networks = Field(
        (), description="proxies in front of the server (CIDR), whose X-Forwarded-For has the visitor's address"
    )
    block_agents: Annotated[
        tuple[
            Annotated[str, matching(r"\w([\w ./-]*\w)?", "words such as GPTBot, comma-separated")],
            ...,
        ],
        SEPARATED,
    ] = Field((), description="drop requests whose User-Agent contains one of these words")
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
        description="static sites: the file to serve for paths that don't exist, such as index.html of a single-page"
        " application; missing files with a usual file ending still get 404",
    )
    firewall: Switch = Field(
        True, description="manage ufw, which opens sshd's own port, 80 and 443; off: don't touch it"
    )

    processes: Mapping[str, str] = Field(
        {}, description="shell command of another process of the same image, such as a queue worker"
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
            there = f"Fix {path}" if path.exists() else f"There is no {path}: run fab init to create one,"
            raise Refused("\n".join(faults), hint=f"{there} and run the command again.")
        return settings

    @classmethod
    def known(cls) -> set[str]:
        """Return the fields that are a ``DEPLOY_`` setting."""
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
        """The folder that relative paths in the settings start from: that of the .env file or of a link to it."""
        return self.dotenv.path.parent.resolve()

    @property
    def names(self) -> tuple[str, ...]:
        """Every host name of the site, the canonical one first."""
        return self.domains + self.redirect_domains

    def fingerprint(self) -> str:
        """Return a hash of the settings that distinguish releases. It reveals nothing about their values."""
        not_its_own = {"keep", "drain", "upstream", "build_cache", "dotenv", "env", *_OF_THE_SERVER}
        steer = self.model_dump(mode="json", exclude=not_its_own)
        values = {name: value.reveal() for name, value in self.env.items()}
        return sha256(json.dumps([steer, values], sort_keys=True).encode()).hexdigest()


# Settings of Nginx, certificates and the firewall, which don't change a release.
_OF_THE_SERVER = {
    "registry_user", "redirect_domains", "max_body", "firewall", "acme_email", "acme_server", "acme_ca", "acme_eab_kid",
    "acme_eab_hmac_key", "acme_dns", "acme_dns_credentials", "acme_dns_seconds", "tls_cert", "tls_key", "hsts", "http3",
    "basic_auth", "allow", "deny", "rate_limit", "cache", "nginx_include", "real_ip", "block_agents", "hosts",
    "fallback",
}  # fmt: skip


# Settings that apply to a static site. Others are refused, so that they aren't ignored unnoticed.
_OF_A_FOLDER = {
    "site", "hosts", "kind", "domains", "redirect_domains", "app", "health_path", "keep", "firewall", "acme_email",
    "acme_server", "acme_ca", "acme_eab_kid", "acme_eab_hmac_key", "acme_dns", "acme_dns_credentials",
    "acme_dns_seconds", "tls_cert", "tls_key", "hsts", "http3", "basic_auth", "allow", "deny", "nginx_include",
    "real_ip", "block_agents", "fallback",
}  # fmt: skip
_OF_A_FOLDER_ALONE = {"fallback"}


def whereabouts(path: Path) -> tuple[bool, str]:
    """Return whether DEPLOY_HOSTS is set, and the site's name, without checking the other settings."""
    with suppress(Refused):
        values = config_dotenv.read(path).values
        name = values[f"{PREFIX}SITE"].reveal() if f"{PREFIX}SITE" in values else ""
        hosts = values[f"{PREFIX}HOSTS"].reveal() if f"{PREFIX}HOSTS" in values else ""
        return bool(hosts.strip()), name or site_name.site_name(path)
    return False, site_name.site_name(path)


def contents(settings: Settings, field: str) -> bytes:
    """Return the content of the file that a setting names. Raises Refused if it can't be read."""
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
        return "" if good else f"DEPLOY_{name}: the name of a process may have letters, digits and _, at most 31."
    if name in PLANNED or name.startswith(PLANNED_FAMILIES):
        ignorable = value in {"", PLANNED.get(name)}
        return "" if ignorable else f"DEPLOY_{name} isn't supported by this version of Portside. Remove it."
    known = [*(field.upper() for field in Settings.known()), *PLANNED]
    close = difflib.get_close_matches(name, known, n=1)
    return f"DEPLOY_{name} isn't a setting" + (f"; did you mean DEPLOY_{close[0]}?" if close else ".")


def _processes(steer: Mapping[str, Secret]) -> dict[str, str]:
    """Return the processes in DEPLOY_PROCESS_<NAME>: name, as containers have it -> shell line."""
    lines = {_process(name): value.reveal() for name, value in sorted(steer.items()) if name.startswith(PROCESS)}
    return {name: line for name, line in lines.items() if line.strip()}


def _process(name: str) -> str:
    return name.removeprefix(PROCESS).lower().replace("_", "-")


def _same_process(steer: Mapping[str, Secret]) -> list[str]:
    named = [_process(name) for name in steer if name.startswith(PROCESS)]
    return [f"Several of DEPLOY_{PROCESS}* define the process {name}." for name in set(named) if named.count(name) > 1]


def _is_static(steer: Mapping[str, Secret]) -> bool:
    return "KIND" in steer and steer["KIND"].reveal() == "static"


def _of_no_use(steer: Mapping[str, Secret]) -> list[str]:
    """Return a fault for each setting of an application that is set for a static site, or the other way round."""
    harmless = {"DATABASE": {"none", Settings.model_fields["database"].default}, "BUILD": {"server"}}
    site, useless = ("static sites", _of_an_application) if _is_static(steer) else ("applications", _of_a_folder)
    return [
        f"DEPLOY_{name} doesn't apply to {site}. Remove it."
        for name, value in steer.items()
        if useless(name) and value.reveal().strip() not in harmless.get(name, set()) | {""}
    ]


def _of_a_folder(name: str) -> bool:
    return name.lower() in _OF_A_FOLDER_ALONE


def _of_an_application(name: str) -> bool:
    return name.lower() in Settings.known() - _OF_A_FOLDER or name.startswith(PROCESS)


def _secrets_missing(steer: Mapping[str, Secret], env: Mapping[str, Secret]) -> list[str]:
    """Return a fault for each missing or weak secret: SECRET_KEY, and POSTGRES_PASSWORD for Portside's own database."""
    elsewhere = "DATABASE" in steer and steer["DATABASE"].reveal() in {"external", "none"}
    needed = ["SECRET_KEY"] if elsewhere else ["SECRET_KEY", "POSTGRES_PASSWORD"]
    faults = {name: secret.weakness(env[name].reveal()) if name in env else "is missing" for name in needed}
    return [
        f"{name} {fault}: fab init{' --env new.env' * (fault != 'is missing')} creates a .env with a generated one."
        for name, fault in faults.items()
        if fault
    ]


def _missing_names(settings: Settings) -> list[str]:
    """Return a fault for each build argument or secret whose variable is missing."""
    wanted = {"DEPLOY_BUILD_ARGS": settings.build_args, "DEPLOY_BUILD_SECRETS": settings.build_secrets}
    return [
        f"{setting} names {name}, which isn't in the environment file."
        for setting, names in wanted.items()
        for name in names
        if name not in settings.env
    ]


def _first_of_each(details: list[Any]) -> list[Any]:
    """Drop "too short" if the parts themselves are at fault: it would only confuse."""
    at_fault = {detail["loc"][0] for detail in details if len(detail["loc"]) > 1}
    return [d for d in details if not (d["type"] == "too_short" and d["loc"][0] in at_fault)]


def _sentence(detail: Any) -> str:
    """Return a pydantic error as a sentence that begins with the variable's name."""
    message = re.sub(r"^Value error, ", "", str(detail["msg"]))
    if not detail["loc"]:
        return f"{message}."
    name = PREFIX + str(detail["loc"][0]).upper()
    if detail["type"] == "missing" or detail["type"] == "too_short":
        return f"{name} is missing: {Settings.model_fields[str(detail['loc'][0])].description}."
    return f"{name}: {message}."
