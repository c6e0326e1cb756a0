"""A static site's release: which files are served, which are sent."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.build.source import Source, find
from deploy.core.errors import Refused
from deploy.releases import static_site
from tests import sample

FILES = {
    "index.html": "<title>one</title>",
    "css/site.css": "p {}",
    ".htaccess": "",
    ".github/page.html": "",
    ".well-known/security.txt": "Contact",
}
RELEASE = sample.SITE.release(sample.NEW)


def source(folder: Path, *links: tuple[str, str], **files: str) -> Source:
    """A folder of files in git; ``links``: names and where they lead."""
    root = sample.files(folder / "site", FILES | files)
    for name, target in links:
        (root / name).symlink_to(target)
    sample.repository(root, {})
    with ExitStack() as keep:
        return find(sample.settings(folder, sample.STATIC, DEPLOY_APP="site"), "", keep)


def test_what_begins_with_a_dot_is_for_nobody(tmp_path: Path) -> None:
    assert set(static_site.served_files(source(tmp_path))) == {"index.html", "css/site.css", ".well-known/security.txt"}


def test_a_folder_without_a_file_to_serve_is_refused(tmp_path: Path) -> None:
    root = sample.files(tmp_path / "site", {".hidden": ""})
    sample.repository(root, {})
    with ExitStack() as keep, pytest.raises(Refused, match="no file to serve"):
        static_site.check(find(sample.settings(tmp_path, sample.STATIC, DEPLOY_APP="site"), "", keep))


def test_links_within_the_site_are_taken(tmp_path: Path) -> None:
    made = source(tmp_path, ("latest.css", "css/site.css"), ("styles", "css"), ("css/home", "../index.html"))
    static_site.check(made)


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", ".htaccess", "none", "css/../../site/index.html"])
def test_a_link_that_leads_elsewhere_is_refused(target: str, tmp_path: Path) -> None:
    sample.files(tmp_path, {"secret": ""})
    with pytest.raises(Refused, match=f"^link is a link to {target}, which isn't among the site's files") as caught:
        static_site.check(source(tmp_path, ("link", target)))
    assert caught.value.exit_code == 2


def test_names_that_no_address_leads_to_are_refused_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r'with this name: "a\\nb", "c\\\\d"\.\nlink is a link'):
        static_site.check(source(tmp_path, ("link", "/etc/passwd"), **{"a\nb": "", "c\\d": ""}))


@pytest.mark.parametrize(
    ("there", "sent", "same"),
    [
        (set(), {".well-known/security.txt", "css/site.css", "index.html"}, b""),
        ({".well-known/security.txt", "css/site.css"}, {"index.html"}, b".well-known/security.txt\ncss/site.css\n"),
        (
            set(FILES) - {".htaccess", ".github/page.html"},
            set(),
            b".well-known/security.txt\ncss/site.css\nindex.html\n",
        ),
    ],
)
def test_only_what_the_live_release_lacks_is_sent(there: set[str], sent: set[str], same: bytes, tmp_path: Path) -> None:
    name, place = static_site.place(RELEASE, source(tmp_path, ("link", "index.html")), there)
    assert (name.path, name.files["content"]) == (RELEASE.name, f"{RELEASE.id}\n".encode())
    assert place.name == f"Put {len(sent)} of 3 files in place"
    assert place.arguments == {"folder": f"{RELEASE.root}/static", "live": "/srv/portside/portfolio/current/static"}
    assert place.files["same"] == same
    assert set(place.files) - {"same"} == {f"new/{name}" for name in sent | {"link"}}


def test_the_gate_looks_for_the_health_checks_path() -> None:
    step = static_site.gate(RELEASE, "/status?x=1")
    given = {"folder": RELEASE.static, "path": "/status?x=1", "group": 33}
    assert (step.script, step.arguments) == ("look", {**given, "fallback": ""})
    assert static_site.gate(RELEASE, "/status?x=1", "app.html").arguments == {**given, "fallback": "app.html"}


def test_the_file_for_paths_that_do_not_exist_must_exist(tmp_path: Path) -> None:
    made = source(tmp_path, ("app.html", "index.html"))
    for name in ("index.html", "app.html"):
        static_site.check(made, name)
    for name in ("200.html", "css", ".github/page.html"):
        with pytest.raises(Refused, match=rf"^DEPLOY_FALLBACK: there is no file {name} in .*/site\.\n"):
            static_site.check(made, name)
