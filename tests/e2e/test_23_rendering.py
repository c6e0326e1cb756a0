"""What the templates make of any two settings together, handed to the real Nginx of two Debians."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from deploy import nginx, site
from deploy.practice import Practice
from deploy.practice.engine import archive, connect
from tests import renderings

from .kit import shell

TRY = (Path(__file__).parent / "nginx-try.sh").read_text(encoding="utf-8")
INSTALL = f"""
apt-get -qq update
apt-get -qqy install --no-install-recommends nginx {nginx.BROTLI_MODULE} >/dev/null 2>&1
rm -f /etc/nginx/sites-enabled/default
mkdir -p {site.NGINX_CACHE}
nginx -V 2>&1
"""
MENDED = 'dpkg --compare-versions "$(dpkg-query -W -f \'${Version}\' nginx)" ge "$1"'
BROKEN = "http { server { listen 80; proxy_pass http://nowhere; } }\nevents {}\n"


def shipped(name: str, files: Mapping[str, str], others: Mapping[str, str]) -> dict[str, bytes]:
    """One rendering as nginx-try.sh wants it."""
    here = f"root/tried/{name}"
    return {
        f"{here}/main": nginx.MAIN.encode(),
        **{f"{here}/nginx/{path}": text.encode() for path, text in files.items()},
        **{f"{here}/others{path}": text.encode() for path, text in others.items()},
    }


def tried(server: Practice, files: Mapping[str, bytes]) -> dict[str, str]:
    """What Nginx says of each rendering. All travel in one go and are tested in one."""
    connect().containers.get(server.container).put_archive("/", archive(files))
    said = shell(server, TRY).split("\n")
    return dict(line.split(" ", 1) for line in said if line[:2].isdigit())


@pytest.mark.parametrize(("debian", "version"), [("bookworm", "1.22.1"), ("trixie", "1.26.3")])
def test_nginx_takes_any_two_settings_together(
    debian: str, version: str, bring_up: Callable[..., Practice], tmp_path: Path
) -> None:
    server = bring_up(f"nginx-{debian}", debian)
    told = shell(server, INSTALL)
    assert f"nginx/{version}" in told
    for build in renderings.BACKPORTED[version].values():
        shell(server, MENDED, build)
    made = renderings.renderings(tmp_path, told)
    files = {path: text for each in made for path, text in shipped(each.name, each.files, each.others).items()}
    said = tried(server, files | shipped("99", {"nginx.conf": BROKEN}, {"/etc/portside/none": ""}))
    server.remove()
    assert '"proxy_pass" directive is not allowed here' in said.pop("99"), "a fault is found"
    assert {name: text for name, text in said.items() if text != "ok"} == {}
    assert len(said) == len(renderings.COMBINATIONS)
