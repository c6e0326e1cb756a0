"""Whatever stands in a setting, it is refused by its name, or means no more than itself wherever it lands.

The values are ones that hypothesis makes of good ones; the same ones at each run.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from deploy.build import image
from deploy.build.source import Source
from deploy.certs import acme, dns01
from deploy.certs.acme import Authority
from deploy.cli import maintenance
from deploy.config.dotenv import for_compose
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.core.paths import Site
from deploy.core.server_paths import NGINX_LIVE
from deploy.core.steps import Step
from deploy.host import packages, provision
from deploy.nginx import generation
from deploy.nginx import site as nginx_site
from deploy.releases import compose, database, environment
from tests import nginxconf, pki, sample
from tests.nginxconf import Directive

EVERY = {name: value for name, value in sample.EVERY_SETTING.items() if name != "DEPLOY_DOCKERFILE"}
"""Every setting, with Portside's own Dockerfile, which takes more of them than a project's."""
NASTY = (
    "'", '"', "`", "$", "$(id)", "${HOME}", "\\", ";", ";}", "{", "}", "} server {", "#", "&", "|", "<", ">", "(", ")",
    "*", "?", "~", "!", "%", "%a;b", "\n", "\r\n", "\t", " ", "\x00", "\x07", "\x1b[31m", "\x7f", "\x85", "\u00a0",
    "\u2028", "\ufeff", "\ufffe", "é", "ß", "\u0663", "\uff13", "İ", "\u017f", "\U0001f600", "e\u0301", "-", "--", "..",
    "/../", ",", ":", "=", "[", "]", "[x]", "null", "0",
)  # fmt: skip
FORGIVEN = ("fe80::1%a;b}", "\u0663m", "\uff13", "1_0", " 7 ", "1e1", "a b@c.example", "https://a.example/'[")
"""What some parser of Python's takes, and what reads it on the server doesn't, or otherwise."""
OTHERS = {
    "DEPLOY_KIND": [],
    "DEPLOY_UPSTREAM": ["socket"],
    "DEPLOY_DATABASE": ["external", "none"],
    "DEPLOY_WORKER_CLASS": ["gthread"],
    "DEPLOY_HSTS": ["0"],
    "DEPLOY_REPLICAS": ["1"],
    "DEPLOY_HEALTH_PATH": ["/", "/static/x"],
}
"""Settings of which another good value makes other blocks."""
CERTBOT = re.compile(
    r"server|cert-name|domains|authenticator|webroot-path|key-type|agree-tos|renew-with-new-domains|"
    r"force-renewal|keep-until-expiring|email|no-eff-email|register-unsafely-without-email|eab-kid|eab-hmac-key|"
    r"dns-[a-z0-9-]+-(credentials|propagation-seconds)"
)
PROJECT = ("manage.py", "requirements.txt")

steady = hypothesis(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
nasty = st.lists(st.sampled_from(NASTY), min_size=1, max_size=2).map("".join)
texts = st.lists(st.one_of(st.sampled_from(NASTY), st.text(st.characters(codec="utf-8"), max_size=3))).map("".join)


@st.composite
def twisted(draw: st.DrawFn, good: str) -> str:
    """The good value with something put in, or in place of a part of it."""
    start = draw(st.integers(0, len(good)))
    end = draw(st.sampled_from([start, start + 1, len(good)]))
    return good[:start] + draw(nasty) + good[end:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("quoting")
    sample.settings(made, EVERY)  # leaves the file that DEPLOY_NGINX_INCLUDE names
    sample.with_own_certificate(made, *sample.GALLERY)
    sample.files(made, {"overlay.ini": "", "ca.pem": "", **{f"app/{name}": "" for name in PROJECT}})
    return made


class Made:
    """All that one site's settings make."""

    def __init__(self, folder: Path, **changed: str) -> None:
        self.settings = settings = Settings.load(sample.write_env(folder / ".env", {**EVERY, **changed}))
        self.site = Site(settings.site)
        self.facts = replace(sample.facts("debian-13-live"), certificate=pki.issued(*settings.names).chain)
        self.release = self.site.release(sample.NEW)

    def nginx(self) -> Directive:
        own = nginx_site.site_file(self.settings, self.site, sample.EVERY_EDGE, self.facts)
        files = generation.base(self.facts, own) | own | {"generation.conf": ""}
        return nginxconf.parse(files, "nginx.conf", NGINX_LIVE)

    def compose(self) -> dict[str, Any]:
        texts = {"release": compose.release_compose(self.settings, self.release, self.facts, sample.answer())}
        if self.settings.own_database:
            texts["data"] = database.files(self.settings, self.site, self.facts)[self.site.data_compose]
        return {name: yaml.load(text, yaml.CSafeLoader) for name, text in texts.items()}

    def build(self) -> Step:
        root = self.settings.folder / "app"
        source = Source(root, {name: root / name for name in PROJECT}, "", (), (), "", dict.fromkeys(PROJECT, "f"), "")
        return image.build(self.settings, source, self.release)

    def certbot(self) -> str:
        authority = Authority(self.settings.acme_server or acme.LETS_ENCRYPT)
        return acme.certbot_settings(
            self.settings, self.site.name, authority, again=False, asked=acme.wanted(self.settings), credentials="/x"
        )

    def steps(self) -> list[Step]:
        settings, facts = self.settings, self.facts
        authority = Authority(settings.acme_server or acme.LETS_ENCRYPT, "a root")
        return [
            *packages.packages(settings, sample.bare()),
            *provision.rest(settings, sample.bare()),
            *dns01.refresh(settings, self.site, facts),
            *(database.steps(settings, self.site, facts)),
            *compose.release_steps(settings, self.release, facts, "config.settings"),
            *acme.issue(settings, self.site, facts, authority),
            acme.look(authority, "token", acme.wanted(settings)),
            acme.prove(self.site, settings.names),
            self.build(),
        ]


def shape(block: Directive) -> tuple[Any, ...]:
    """Names and nesting of directives, and how many words each has, but for those that list hosts. Of the same ones in
    a row, as a list in a setting makes them, one counts. What stands in a map is no directive."""
    found: list[Any] = []
    for inner in block.block:
        name = "" if block.name == "map" else inner.name
        one = (name, 0 if name == "server_name" else len(inner.words), shape(inner))
        if one not in found[-1:]:
            found.append(one)
    return tuple(found)


def outline(data: object) -> Any:
    """Keys and nesting of what YAML says, one for all replicas."""
    if isinstance(data, Mapping):
        return {re.sub(r"^web-\d+$", "web-N", str(key)): outline(value) for key, value in data.items()}
    if isinstance(data, list):
        return sorted({repr(outline(value)) for value in data})
    return type(data).__name__


@pytest.fixture(scope="module")
def harmless(folder: Path) -> Any:
    """The shapes that a setting's good values make."""
    known: dict[str, list[tuple[Any, Any]]] = {}

    def shapes(name: str) -> list[tuple[Any, Any]]:
        if name not in known:
            needed = (
                name in {"DEPLOY_SITE", "DEPLOY_DOMAINS", "SECRET_KEY", "POSTGRES_PASSWORD"} or name[:7] != "DEPLOY_"
            )
            made = [Made(folder, **{name: value}) for value in [EVERY[name], *OTHERS.get(name, [])]]
            made += [] if needed else _without(folder, name)
            known[name] = [(shape(each.nginx()), outline(each.compose())) for each in made]
        return known[name]

    return shapes


def _without(folder: Path, name: str) -> list[Made]:
    try:
        return [Made(folder, **{name: ""})]
    except Refused:
        return []


@pytest.mark.parametrize("name", [name for name in EVERY if name != "DEPLOY_APP"])
def test_a_setting_is_refused_or_harmless(name: str, folder: Path, harmless: Any) -> None:
    @steady
    @given(value=twisted(EVERY[name]))
    def whatever_it_is(value: str) -> None:
        try:
            made = Made(folder, **{name: value})
            steps = made.steps()
        except Refused as error:
            assert name in str(error) or ("*." in value and "DEPLOY_ACME_DNS" in str(error)), str(error)
            return
        shapes = harmless(name)
        assert shape(made.nginx()) in [nginx for nginx, _ in shapes]
        assert outline(made.compose()) in [compose for _, compose in shapes]
        assert_words_reach_a_shell(steps)
        assert_arguments_reach_a_build(steps[-1])
        assert_certbot_reads(made.certbot())

    for value in (*FORGIVEN, f"{EVERY[name]},{FORGIVEN[0]}"):
        whatever_it_is = example(value=value)(whatever_it_is)
    whatever_it_is()


def assert_words_reach_a_shell(steps: list[Step]) -> None:
    """As ``apply.sh`` reads them: a shell finds exactly the words."""
    lines = [step.line(number) for number, step in enumerate(steps)]
    assert [shlex.split(line)[2:] for line in lines] == [list(step.words) for step in steps]
    said = shell('step() { shift; printf "%s\\0" "$#" "$@"; }\n' + "\n".join(lines))
    assert said == [word for step in steps for word in (str(len(step.words)), *step.words)]


def assert_arguments_reach_a_build(step: Step) -> None:
    text = step.files["arguments"]
    assert isinstance(text, bytes)
    names = re.findall(r"--build-arg (\w+)", " ".join(step.arguments["options"]))
    shown = "".join(f'printf "%s\\0" "${name}"\n' for name in names)
    lines = [shlex.split(line) for line in re.split(r"\n(?=export |\Z)", text.decode())[:-1]]
    assert [words[0] for words in lines] == ["export"] * len(names)
    assert sorted(words[1].partition("=")[2] for words in lines) == sorted(shell(text.decode() + shown))
    overlay = step.files.get("overlay/Dockerfile", b"")
    assert isinstance(overlay, bytes)
    for line in overlay.decode().splitlines()[2:-1]:
        assert line.startswith("COPY ")
        assert len(json.loads(line.removeprefix("COPY "))) == 2


def assert_certbot_reads(text: str) -> None:
    """Each line a key that we mean, and a value that is one word or a list of hosts."""
    keys = [line.partition(" = ")[0] for line in text.split("\n")[:-1]]
    assert [key for key in keys if not CERTBOT.fullmatch(key)] == []
    assert len(keys) == len(set(keys))
    assert text.isascii()
    assert not re.search(r"[^ -~\n]|#|;| = [\['\"]", text)


def shell(text: str) -> list[str]:
    """What a real shell prints of NUL-terminated words."""
    done = subprocess.run(("sh",), input=text.encode(), capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stderr == b""
    return done.stdout.decode().split("\0")[:-1]


@steady
@given(values=st.fixed_dictionaries({"TOKEN": texts, "POSTGRES_USER": texts, "POSTGRES_PASSWORD": texts}))
def test_the_applications_values_arrive_as_they_are(values: dict[str, str], folder: Path) -> None:
    """For where python-dotenv itself keeps them: it takes a NUL for what it is, a fault."""
    values["POSTGRES_PASSWORD"] += "-x7Gq2lPz9rT4"
    try:
        made = Made(folder, **values)
    except Refused as error:
        assert "NUL" in str(error), str(error)
        return
    own = environment.own_environment(made.settings)
    assert own["TOKEN"] == values["TOKEN"]
    file = {**own, **environment.made_environment(made.settings, made.site, sample.NEW, "config.settings")}
    assert file["POSTGRES_PASSWORD"] == values["POSTGRES_PASSWORD"]
    assert read_env_file(for_compose(file)) == file
    database = made.compose()["data"]["services"]["db"]["environment"]["POSTGRES_USER"]
    assert database.replace("$$", "$") == (values["POSTGRES_USER"] or "gallery_2")


def read_env_file(text: str) -> dict[str, str]:
    """As Compose does what stands in double quotes; that it does, tests/e2e/use/test_values.py shows."""
    meant = {"\\n": "\n", "\\r": "\r"}
    found = re.findall(r'^(\w+)="((?:\\.|[^"\\])*)"$', text, re.MULTILINE)
    assert len(found) == text.count("\n")
    return {
        name: re.sub(r"\\.", lambda escaped: meant.get(escaped.group(), escaped.group()[1:]), value)
        for name, value in found
    }


@steady
@given(line=texts)
def test_a_processs_line_reaches_its_shell_as_it_is(line: str, folder: Path) -> None:
    try:
        made = Made(folder, DEPLOY_PROCESS_JOB=line)
    except Refused as error:
        assert "NUL" in str(error)
        return
    service = made.compose()["release"]["services"].get("process-job")
    assert (service is not None) == bool(line.strip())
    if service:
        assert service["command"][2].replace("$$", "$") == compose.in_its_place(line)


@pytest.mark.parametrize("name", ["1", "NULL", "true", "0x1F", "1e3", "on", "1_000", "012"])
def test_a_processs_name_is_text_whatever_yaml_makes_of_such_words(name: str, folder: Path) -> None:
    services = Made(folder, **{f"DEPLOY_PROCESS_{name}": "true"}).compose()["release"]["services"]
    title = name.lower().replace("_", "-")
    assert services[f"process-{title}"]["labels"]["portside.process"] == title


@steady
@given(value=st.one_of(twisted("192.0.2.7,2001:db8::7"), texts))
def test_whom_maintenance_lets_in_is_an_address(value: str) -> None:
    try:
        assert all(re.fullmatch(r"[0-9a-f.:]+", address) for address in maintenance._addresses(value))
    except Refused as error:
        assert "--allow" in str(error)
