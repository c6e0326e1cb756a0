"""Masking: what is secret is hidden in whatever spelling, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import shlex
import string
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from deploy.cli import fabric
from deploy.config.dotenv import for_compose
from deploy.core import mask, secret
from deploy.core.mask import Mask
from deploy.core.report import Report
from deploy.core.secret import leaves
from deploy.nginx import hostnames
from tests import sample

SAME_EACH_TIME = settings(derandomize=True, database=None, deadline=None, max_examples=60)


def hides(*secrets: str, public: tuple[str, ...] = ()) -> Mask:
    made = Mask()
    made.add(secrets, public)
    return made


def lower(text: str) -> str:
    """Percent-encoding in lower case."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


def entities(text: str) -> str:
    return "".join(f"&#{ord(character)};" for character in text)


def dollars(text: str) -> str:
    return text.replace("$", "$$")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "quote": lambda text: quote(text, safe=""),
    "quote but for /": quote,
    "quote_plus": quote_plus,
    "lower-case quote": lower,
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "html": html.escape,
    "html's numbers": entities,
    "html's numbers, hexadecimal": lambda text: "".join(f"&#x{ord(character):x};" for character in text),
    "json": lambda text: json.dumps(text)[1:-1],
    "json, not ascii": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json in json": lambda text: json.dumps(json.dumps([text])),
    "repr": lambda text: repr(text)[1:-1],
    "ascii": lambda text: ascii(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "shell": shlex.quote,
    "json in a url": lambda text: quote(json.dumps([text])),
    "html of repr": lambda text: html.escape(repr(text)),
    "sql": lambda text: text.replace("'", "''"),
    "compose": lambda text: dollars(json.dumps(text)[1:-1]),
    "an environment file of compose": lambda text: for_compose({"A": text}),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "hex with spaces": lambda text: text.encode().hex(" "),
    "hex with colons": lambda text: text.encode().hex(":"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for urls": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "basic auth": lambda text: base64.b64encode(f"ann:{text}".encode()).decode(),
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
}

TRICKY = [
    "p@ss %/#$'\"\\word", "a+b c=d&e", "it's-\"mine\"", "$(whoami)-`x`", "tab\tand\nline-x9", "%2F-literal-%41",
    "back\\nslash-x7", "<b>&amp;</b>-1", "grün-ßecret-9", "\U0001f511-key-0", "x7Gq-2lPz", "a''b''c-34", "a$$b$$c-34",
    "100%-sure-99", "c:\\new\\temp-1",
]  # fmt: skip
MACHINE = st.text(string.ascii_letters + string.digits + "-_", min_size=16, max_size=64).filter(secret.is_strong)
PERSON = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8, max_size=30).filter(
    lambda text: (
        text == text.strip() and sum(map(str.isalnum, text)) >= 4 and not text.isalpha() and len(set(text)) >= 6
    )
)


def shows(masked: str, spelled: str) -> bool:
    """Whether eight characters in a row of what was told are still there."""
    rest = masked.replace(mask.HIDDEN, "\0")
    return any(spelled[place : place + 8] in rest for place in range(max(len(spelled) - 7, 1)))


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", TRICKY)
def test_no_spelling_of_a_secret_gets_through(secret: str, spelling: str) -> None:
    spelled = SPELLINGS[spelling](secret)
    masked = hides(secret)(f"error: {spelled} was refused")
    assert masked.startswith("error: ")
    assert masked.endswith(" was refused")
    assert mask.HIDDEN in masked
    assert not shows(masked, spelled)


@SAME_EACH_TIME
@given(secret=st.one_of(MACHINE, PERSON), spelling=st.sampled_from(sorted(SPELLINGS)))
def test_no_spelling_of_any_secret_gets_through(secret: str, spelling: str) -> None:
    spelled = SPELLINGS[spelling](secret)
    masked = hides(secret)(f"at=<{spelled}> (0.5 s)")
    assert mask.HIDDEN in masked
    assert not shows(masked, spelled)


@SAME_EACH_TIME
@given(
    secret=MACHINE, width=st.integers(12, 40), spelling=st.sampled_from(["as it is", "base64", "hex", "quote", "repr"])
)
def test_a_secret_that_is_wrapped_is_hidden_line_by_line(secret: str, width: int, spelling: str) -> None:
    spelled = SPELLINGS[spelling](secret)
    hide = hides(secret)
    for line in textwrap.wrap(spelled, width, break_on_hyphens=False):
        masked = hide(f"    {line}")
        assert len(line) < 12 or not shows(masked, line), (line, masked)


@SAME_EACH_TIME
@given(secret=st.one_of(MACHINE, st.sampled_from(TRICKY)), width=st.integers(1, 12), indent=st.sampled_from(["", "  "]))
def test_a_text_that_is_wrapped_is_read_as_one(secret: str, width: int, indent: str) -> None:
    assume(secret.isprintable() and " " not in secret)
    lines = [secret[place : place + width] for place in range(0, len(secret), width)]
    masked = hides(secret)("it says\n" + "\n".join(f"{indent}{line}" for line in lines) + "\nthere")
    assert masked == f"it says\n{indent}{mask.HIDDEN}\nthere" or not shows(masked.replace("\n", ""), secret)


@SAME_EACH_TIME
@given(secret=MACHINE, data=st.data())
def test_what_is_left_of_a_secret_that_was_cut_is_hidden(secret: str, data: st.DataObject) -> None:
    kept = data.draw(st.integers(12, len(secret)))
    for text in (f"it is {secret[:kept]}", f"it is {secret[:kept]}...", f"...{secret[-kept:]} it is"):
        assert not shows(hides(secret)(text), secret), text


WORDS = [
    "postgres", "django", "postgresql/base.py", "password", "secret", "the", "releases/20261120-170501-ab12cd3", "#12",
    "http://shop.example/", "sha256:4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c", "Collecting",
    "DONE", "100%", "config.settings", "/srv/portside/shop/current", "127.0.0.1:8101", "✓ build", "200", "INFO",
    "2026-11-20T17:05:01Z", "0.5 s", "nginx",
]  # fmt: skip


@SAME_EACH_TIME
@given(
    secrets=st.lists(st.one_of(MACHINE, st.sampled_from(TRICKY)), min_size=1, max_size=20),
    words=st.lists(st.sampled_from(WORDS)),
)
def test_harmless_words_stay(secrets: list[str], words: list[str]) -> None:
    text = " ".join(words)
    assert hides(*secrets, public=("shop.example", "shop"))(text) == text


@SAME_EACH_TIME
@given(text=st.text(), secret=st.one_of(MACHINE, st.sampled_from(TRICKY)))
@example(text="&#99999999;&#xd800;\\ud800\\U0011ffff%ff%&;\\", secret="x7Gq-2lPz")
def test_any_text_can_be_masked_and_only_loses_what_is_hidden(text: str, secret: str) -> None:
    assert hides(secret)(text) == text or mask.HIDDEN in hides(secret)(text)
    assert secret not in hides(secret)(text + secret + text)


@pytest.mark.parametrize(
    ("secret", "text", "masked"),
    [
        ("s3cr", "it is s3cr.", "it is [hidden]."),
        ("s3cr", "s3cret as3cr", "s3cret as3cr"),
        ("x7", "TOKEN=x7 x7 0x7", "TOKEN=[hidden] x7 0x7"),
        ("swordfish", "swordfish swordfishes", "[hidden] swordfishes"),
        ("k" * 50, f"key {'k' * 50}!", "key [hidden]!"),
        ("p" * 24, f"{'p' * 24}@db", "[hidden]@db"),
        ("hunter2-hunter2", "ahunter2-hunter2b", "a[hidden]b"),
        ("prod-postgres-Xy1234567", "a-postgres-b prod-postgres-z", "a-postgres-b prod-postgres-z"),
        ("correct-horse-battery", "  correct-horse-ba...", "  [hidden]..."),
    ],
)
def test_short_and_plain_secrets_count_by_themselves(secret: str, text: str, masked: str) -> None:
    assert hides(secret)(text) == masked


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("DATABASE_URL", "postgres://ann:p%40ss%2Fw0rd@db:5432/shop", {"p%40ss%2Fw0rd", "p@ss/w0rd"}),
        ("REDIS", "redis://:s3cr@cache/0", {"s3cr"}),
        ("REPOSITORY", "https://ghp_x7Gq2lPz9rT4@git.example/a.git", {"ghp_x7Gq2lPz9rT4"}),
        ("SENTRY_DSN", "https://0a1b2c3d4e5f60718293a4b5c6d7e8f9@o1.example/2", {"0a1b2c3d4e5f60718293a4b5c6d7e8f9"}),
        ("HOOK", "https://hooks.example/services/T0AB12CD34/x7Gq2lPz9rT4uV", {"T0AB12CD34", "x7Gq2lPz9rT4uV"}),
        ("CALLBACK", "https://a.example/x?token=s3cr3t&page=2", {"s3cr3t"}),
        ("ENDPOINT", "https://s3.example", set()),
        ("INDEX", "https://packages.example/simple/v2", set()),
        ("HOOK", "https://hooks.example/T0/x7Gq2lPz", {"x7Gq2lPz"}),
        ("HOOK_TOKEN", "https://hooks.example/simple", {"https://hooks.example/simple"}),
        ("SITE_ROOT", "http://shop.example/a/b", set()),
        ("SITE_ROOT", "http://ann:s3cr3t@shop.example/a", {"s3cr3t"}),
        ("SITE_NAME", "shop.example", set()),
        ("GOOGLE", '{"client": {"client_secret": "s3cr3t", "type": "web", "n": 1}}', {"s3cr3t"}),
        ("DSN", "host=db user=ann password=s3cr3t dbname=shop", {"s3cr3t"}),
        ("FALLBACK_KEYS", "x7Gq2lPz,9rT4uVwX", {"x7Gq2lPz", "9rT4uVwX"}),
        ("SECRET_KEY", "correct-horse-battery", {"correct-horse-battery"}),
        ("API_TOKEN", "swordfish", {"swordfish"}),
        ("API_TOKEN", "x7", {"x7"}),
        ("EMAIL_HOST_PASSWORD", "postgres", set()),
        ("DB", "postgres", set()),
        ("FRAMEWORK", "django", set()),
        ("DB_ENGINE", "django.db.backends.postgresql", set()),
        ("DB_USER", "shop-2", set()),
        ("PORT", "5432", set()),
        ("DEBUG", "on", set()),
        ("LOG_LEVEL", "INFO", set()),
        ("LANGUAGE_CODE", "en-us", set()),
        ("MEDIA", "/srv/media", set()),
        ("RATIO", "0.25", set()),
        ("ALLOWED_HOSTS", "a.example,b.example", set()),
        ("GREETING", "hello, world", set()),
        ("GREETING", "hello there", {"hello there"}),
        ("V_ODD", "a@1", {"a@1"}),
        ("EMPTY", "", set()),
        ("BROKEN", "http://[::1", {"http://[::1"}),
    ],
)
def test_what_of_a_value_is_secret(name: str, value: str, found: set[str]) -> None:
    assert {leaf for leaf in leaves(name, value, ("shop.example", "shop")) if leaf != value or leaf in found} == found


KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg
6Hh3bQ9zX0Yp
-----END PRIVATE KEY-----
"""


def test_a_key_of_several_lines_is_hidden_line_by_line() -> None:
    hide = hides(*leaves("TLS", KEY))
    assert [hide(line) for line in KEY.splitlines()] == [mask.HIDDEN] * 4
    assert hide(KEY) == f"{mask.HIDDEN}\n"


def report(folder: Path, **lines: str) -> tuple[Report, str]:
    """A report for a site with this environment, and the site's address."""
    found = sample.settings(folder, **lines)
    made = Report()
    fabric._mask_secrets(made, found)
    return made, hostnames.live(found, sample.live(found)).address


def test_the_sites_own_address_is_shown_whatever_the_environment_says(tmp_path: Path) -> None:
    lines = {
        "SITE_ROOT": "http://portfolio.localhost",
        "DB": "postgres",
        "FRAMEWORK": "django",
        "ADMIN_PASSWORD": "portfolio",
    }
    made, address = report(tmp_path, **lines)
    for text in (
        f"Look at it:   {address}/",
        "django/db/backends/postgresql/base.py",
        "https://portfolio.localhost/a?b=c",
    ):
        assert made.mask(text) == text
    assert made.mask("portfolio") == "portfolio", "the site's name"


def test_passwords_of_our_own_are_hidden(tmp_path: Path) -> None:
    made, _ = report(
        tmp_path,
        DEPLOY_BASIC_AUTH="ann:p@ss,bob:w0rd",
        DEPLOY_PIP_INDEX="https://robot:t0ken@pypi.example/simple",
    )
    text = "ann p@ss bob w0rd https://robot:t0ken@pypi.example/simple"
    assert made.mask(text) == "ann [hidden] bob [hidden] https://robot:[hidden]@pypi.example/simple"


def test_a_github_job_is_told_what_to_hide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path)
    assert "add-mask" not in "".join(capsys.readouterr())
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    report(tmp_path, DATABASE="postgres://ann:100%25sure@db/x", SHORT_TOKEN="x7", THEME="dark", TOKEN="closed")
    told = capsys.readouterr()
    assert told.out == ""
    assert {"::add-mask::not-so-secret-key", "::add-mask::100%2525sure", "::add-mask::100%25sure"} <= set(
        told.err.splitlines()
    )
    assert not {"::add-mask::x7", "::add-mask::dark", "::add-mask::closed"} & set(told.err.splitlines())


def test_a_long_log_is_masked_as_it_comes() -> None:
    """By a ratio to what every line costs anyhow, so that a busy machine fails nothing."""
    hide = hides(*(f"{number:02}-x7Gq2lPz9rT4uVwX{number}" for number in range(20)))
    lines = [
        f"#12 {number}.123 Collecting package-{number} (from -r requirements.txt, line {number})"
        for number in range(10000)
    ]
    began = time.process_time()
    assert [hide(line) for line in lines] == lines
    assert time.process_time() - began < 20, "a fraction of a second, unless it grows with what is hidden"
