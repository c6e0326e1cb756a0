"""What the templates make of any two settings together, handed to the real Nginx of two Debians."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from deploy.core import server_paths
from deploy.nginx import generation
from tests import renderings

from ..kit.core import partly_core
from ..kit.inside import shell
from ..kit.nginx_container import IMAGES, Edge

TRY = (Path(__file__).parent / "nginx-try.sh").read_text(encoding="utf-8")
PREPARE = f"""
rm -f {server_paths.NGINX_DEFAULT_PAGE}
mkdir -p {server_paths.NGINX_CACHE}
nginx -V 2>&1
"""
MENDED = 'dpkg --compare-versions "$(dpkg-query -W -f \'${Version}\' nginx)" ge "$1"'
BROKEN = "http { server { listen 80; proxy_pass http://nowhere; } }\nevents {}\n"


def shipped(name: str, files: Mapping[str, str], others: Mapping[str, str]) -> dict[str, bytes]:
    """One rendering as nginx-try.sh wants it."""
    here = f"root/tried/{name}"
    return {
        f"{here}/main": generation.MAIN.encode(),
        **{f"{here}/nginx/{path}": text.encode() for path, text in files.items()},
        **{f"{here}/others{path}": text.encode() for path, text in others.items()},
    }


def tried(edge: Edge, files: Mapping[str, bytes]) -> dict[str, str]:
    """What Nginx says of each rendering. All travel in one go and are tested in one."""
    edge.put(files)
    said = shell(edge, TRY).split("\n")
    return dict(line.split(" ", 1) for line in said if line[:2].isdigit())


@pytest.mark.parametrize("debian", partly_core(["bookworm", "trixie"], "trixie"))
def test_nginx_takes_any_two_settings_together(debian: str, edges: Callable[..., Edge], tmp_path: Path) -> None:
    edge, version = edges(debian), IMAGES[debian].version
    told = shell(edge, PREPARE)
    assert f"nginx/{version}" in told
    for build in renderings.BACKPORTED[version].values():
        shell(edge, MENDED, build)
    made = renderings.renderings(tmp_path, told)
    files = {path: text for each in made for path, text in shipped(each.name, each.files, each.others).items()}
    said = tried(edge, files | shipped("99", {"nginx.conf": BROKEN}, {"/etc/portside/none": ""}))
    assert '"proxy_pass" directive is not allowed here' in said.pop("99"), "a fault is found"
    assert {name: text for name, text in said.items() if text != "ok"} == {}
    assert len(said) == len(renderings.COMBINATIONS)
