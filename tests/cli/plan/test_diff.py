"""What there is already, and how it differs: unified diffs without a secret, names without values."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest

from deploy.cli.plan import diff
from deploy.cli.plan.diff import Differing, Item, Present
from deploy.cli.plan.dry_run import Taken
from deploy.config.dotenv import for_compose
from deploy.config.settings import Settings
from deploy.core.facts import FileFact
from deploy.core.mask import Mask
from deploy.core.server_paths import DAEMON_JSON, NGINX_LIVE
from deploy.core.steps import Step, folder, remove, script, write
from deploy.flows import switch
from deploy.nginx import generation
from deploy.nginx import site as nginx_site
from tests import sample

mask = Mask()
mask.add(["hunter2"])

NOTHING = Present()


def items(*steps: Step, present: Present = NOTHING, surplus: Sequence[str] = (), versions: bool = True) -> list[Item]:
    differ = Differing(sample.provisioned(), present, mask, versions=versions, surplus=surplus)
    return differ.items(Taken("a", step) for step in steps)


def there(path: str, text: str, mode: int = 0o644, owner: str = "0:0") -> Present:
    return Present({path: FileFact(mode, owner, sample.digest(text))}, {path: text})


def test_what_the_server_says_is_read() -> None:
    content = base64.b64encode(b"old\n").decode()
    lines = [
        f"file\t644 0:0 {'a' * 64} {content} /etc/a b", "file\t755 0:0 - - /srv", "network\tyes", "image.size\t1048576",
        "surplus\t20261119-101500-5c0ffee", "env\tNAME 0a0b", "listed\tyes", 'source.new\tf 11 "a"', "strange",
    ]  # fmt: skip
    read = Present.parse(lines)
    assert read.files == {"/etc/a b": FileFact(0o644, "0:0", "a" * 64), "/srv": FileFact(0o755, "0:0", "-")}
    assert read.texts == {"/etc/a b": "old\n"}
    assert (read.network, read.image_bytes, read.surplus) == (True, 1048576, ("20261119-101500-5c0ffee",))
    assert (read.environment, read.listed, read.new_lines) == ({"NAME": "0a0b"}, True, ('f 11 "a"',))
    assert Present.parse(["image.size\t"]) == Present()


@pytest.mark.parametrize(
    ("step", "present", "sign"),
    [
        (write("/etc/x", "new\n"), Present(), "+"),
        (write("/etc/x", "new\n"), there("/etc/x", "old\n"), "~"),
        (write("/etc/x", "new\n"), there("/etc/x", "new\n", mode=0o600), "~"),
        (write("/etc/x", "new\n"), there("/etc/x", "new\n", owner="1:1"), "~"),
        (write("/etc/x", "new\n"), there("/etc/x", "new\n"), None),
        (folder("/srv/x", 0o2750, "10001:33"), Present({"/srv/x": FileFact(0o2750, "10001:33", "-")}), None),
        (folder("/srv/x"), Present({"/srv/x": FileFact(0o700, "0:0", "-")}), "~"),
        (remove("/etc/x"), there("/etc/x", "old\n"), "-"),
        (remove("/etc/x"), Present(), None),
        (script("Network", "network", sign="+", name="n"), Present(network=True), None),
        (script("Network", "network", sign="+", name="n"), Present(), "+"),
        (script("Prune", "prune", sign="-"), Present(), None),
        (script("Gate", "gate", sign=""), Present(), ""),
        (script("Migrate", "migrate", sign="~"), Present(), "~"),
        (script("Something new", "migrate"), Present(), "?"),
    ],
)
def test_a_step_is_told_by_what_it_changes(step: Step, present: Present, sign: str | None) -> None:
    assert [item.sign for item in items(step, present=present)] == ([] if sign is None else [sign])


def test_a_step_goes_on_from_what_those_before_it_leave() -> None:
    found = items(write("/etc/x", "a\n"), write("/etc/x", "a\n"), write("/etc/x", "b\n"), remove("/etc/x"))
    assert [item.sign for item in found] == ["+", "~", "-"]
    assert "-a\n+b\n" in found[1].diffs["/etc/x"]


def test_another_mode_is_said() -> None:
    (item,) = items(write("/etc/x", "a\n"), present=there("/etc/x", "a\n", mode=0o600))
    assert (item.why, item.diffs["/etc/x"]) == ("mode 600, owner 0:0, should be 644, 0:0", "")


def test_a_secret_file_shows_only_that_it_changes() -> None:
    step = write("/etc/x", "hunter3\n", 0o600, secret=True)
    (item,) = items(step, present=there("/etc/x", "hunter1\n", 0o600))
    assert item.diffs == {"/etc/x": "[hidden]\n"}
    assert diff.wanted([Taken("a", step)], sample.bare()) == {"/etc/x": "-"}


def test_what_is_pruned_is_named() -> None:
    (item,) = items(script("Remove old releases", "prune", sign="-"), surplus=["one", "two"])
    assert (item.sign, item.why) == ("-", "one, two")


def test_of_a_generation_the_files_that_differ_are_shown(settings: Settings) -> None:
    facts = sample.live(settings)
    own = nginx_site.site_file(settings, sample.SITE, sample.EDGE, facts)
    changed = own | {"sites/portfolio.conf": own["sites/portfolio.conf"].replace("75m", "3m")}
    gone = facts.nginx_files | {"sites/portfolio.old": "0" * 64}
    facts = replace(facts, nginx_files=gone)
    (step,) = generation.steps(generation.base(facts, own) | changed, facts, "the site")
    path = f"{NGINX_LIVE}/sites/portfolio.conf"
    asked = diff.wanted([Taken("switch", step)], facts)
    assert asked == {path: sample.digest(changed["sites/portfolio.conf"]), f"{NGINX_LIVE}/sites/portfolio.old": ""}
    present = Present(texts={path: own["sites/portfolio.conf"], f"{NGINX_LIVE}/sites/portfolio.old": "old\n"})
    differ = Differing(facts, present, mask, versions=True, surplus=())
    (item,) = differ.items([Taken("switch", step)])
    shown = [line.split("#")[0].split() for line in item.diffs[path].splitlines() if re.match(r"[-+] ", line)]
    assert shown == [["-", "client_max_body_size", "75m;"], ["+", "client_max_body_size", "3m;"]]
    old = item.diffs[f"{NGINX_LIVE}/sites/portfolio.old"]
    assert old.splitlines()[1:] == ["+++ /dev/null", "@@ -1 +0,0 @@", "-old"]


def test_of_two_generations_the_one_that_stays_is_shown(settings: Settings) -> None:
    facts = sample.live(settings)
    run = sample.run(settings, sample.Paper(facts))
    run.facts = facts
    step = switch.switch(run, sample.NEW, replace(sample.ROUTES, static_url="/files/"), facts.current)
    assert len(step.generations) == 2
    path = f"{NGINX_LIVE}/sites/portfolio.conf"
    before = nginx_site.site_file(settings, sample.SITE, sample.EDGE, facts)["sites/portfolio.conf"]
    (item,) = Differing(facts, Present(texts={path: before}), mask, versions=True, surplus=()).items(
        [Taken("switch", step)]
    )
    assert "+    location ^~ /files/ {" in item.diffs[path]


@pytest.mark.parametrize("name", ["portfolio.htpasswd", "portfolio.proof"])
def test_passwords_of_visitors_and_proofs_are_no_ones_to_see(settings: Settings, name: str) -> None:
    facts = sample.live(settings)
    (step,) = generation.steps(generation.base(facts) | {f"sites/{name}": "ann:$2b$hash\n"}, facts, "the site")
    path = f"{NGINX_LIVE}/sites/{name}"
    assert diff.wanted([Taken("switch", step)], facts)[path] == "-"
    (item,) = Differing(facts, Present(), mask, versions=True, surplus=()).items([Taken("switch", step)])
    assert item.diffs[path] == "[hidden]\n"


def test_what_versions_decide_is_not_shown_before_they_are_known() -> None:
    assert items(write("/etc/x", "a\n"), versions=False)[0].diffs == {}


INCLUDE, COMPOSE = f"{NGINX_LIVE}/sites/portfolio.include", "compose.yaml"


@pytest.mark.parametrize(
    ("path", "before", "text", "shown"),
    [
        ("/etc/x", "", "set $token hunter2;\n", "+set $token [hidden];"),
        ("/etc/x", "proxy = http://ann:p@ss@proxy.example\n", "", "-proxy = http://[hidden]@proxy.example"),
        ("/etc/x", "", "redis://:pass@db/0\n", "+redis://[hidden]@db/0"),
        (INCLUDE, "set $a hunter1;\n", "set $a hunter2;\n", "-[hidden]"),
        (INCLUDE, "set $a hunter1;\n", "set $b 1;\nset $a 2;\n", "-[hidden]"),
        (INCLUDE, "set $a hunter1;\n", "", "-[hidden]"),
        (INCLUDE, "-- hunter1\n", "", "-[hidden]"),
        (
            INCLUDE,
            "",
            'proxy_set_header Authorization "Basic aHVudGVyOg==";\n',
            "+proxy_set_header Authorization [hidden];",
        ),
        (INCLUDE, "", 'set $a "bearer hunter3";\n', '+set $a "bearer [hidden];'),
        (INCLUDE, "auth_basic off;\n", "auth_basic off;\nset $a 1;\n", " auth_basic off;"),
        (INCLUDE, "a on;\nb on;\n", "b on;\na on;\n", "-b on;"),
        (
            DAEMON_JSON,
            '    "splunk-token": "hunter3",\n',
            '    "splunk-token": "hunter3"\n',
            '+    "splunk-token": [hidden]',
        ),
        (DAEMON_JSON, '{"x": {"token": "hunter3"}}', '{"y": 1}', "-[hidden]"),
        (
            COMPOSE,
            'a: 1\n    command: ["sh", "-c", "exec work --token hunter1"]\n',
            'a: 2\n    command: ["sh", "-c", "exec work --verbose --token hunter3"]\n',
            '+    command: ["sh", "-c", "exec work --verbose --token [hidden]',
        ),
        (COMPOSE, 'a: 1\n    command: ["sh", "-c", "exec work hunter1"]\n', "a: 2\n", "-a: 1"),
        (COMPOSE, 'a: 1\n    command: ["sh", "-c", "exec work hunter1"]\n', "a: 1\n", "-[hidden]"),
    ],
)
def test_no_secret_shows_in_a_diff(path: str, before: str, text: str, shown: str) -> None:
    told = diff.unified(path, before, text, mask)
    assert shown in told.splitlines()
    assert told.startswith("--- ")
    assert not [word for word in ("hunter", "aHVu", "p@ss", ":pass") if word in told]


def test_names_of_the_environment_are_compared_without_their_values() -> None:
    def hashed(name: str, value: str) -> str:
        return sha256(f"nonce{for_compose({name: value})}".encode()).hexdigest()

    before = {"A": hashed("A", "1"), "B": hashed("B", "1"), "C": hashed("C", "it's\n$\"")}
    told = diff.environment(before, {"B": "2", "C": "it's\n$\"", "D": "1"}, "nonce")
    assert told == {"added": ["D"], "changed": ["B"], "gone": ["A"]}


def test_files_of_the_source_are_compared_by_their_lines() -> None:
    present = Present(listed=True, new_lines=('f 1 "a b"', 'f 2 "new"'), old_lines=('x 1 "a b"', 'f 3 "gone"'))
    assert diff.source(present) == {"added": ["new"], "changed": ["a b"], "gone": ["gone"]}
    assert diff.source(Present()) is None
