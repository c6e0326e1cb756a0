"""When the image of the container with the real Nginx is built again."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.practice.images import fingerprint
from tests import renderings
from tests.e2e.kit import nginx_container
from tests.sample import files

TRIXIE, BOOKWORM = nginx_container.IMAGES["trixie"], nginx_container.IMAGES["bookworm"]


def test_each_debian_has_its_own() -> None:
    assert fingerprint(TRIXIE) == fingerprint(TRIXIE) != fingerprint(BOOKWORM)


def test_another_mended_build_needs_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(TRIXIE), fingerprint(BOOKWORM)
    monkeypatch.setitem(renderings.BACKPORTED["1.26.3"], "CVE-2026-1", "1.26.3-3+deb13u99")
    assert (fingerprint(TRIXIE) != before[0], fingerprint(BOOKWORM)) == (True, before[1])


def test_other_requirements_of_the_sample_site_need_another_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = fingerprint(TRIXIE)
    monkeypatch.setattr(nginx_container, "CHECKOUT", files(tmp_path, {"app/requirements.txt": "django\n"}))
    assert fingerprint(TRIXIE) != before
