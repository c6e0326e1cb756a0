"""Which files a server lacks: what it is asked, and what its answer means."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from deploy.build import delta
from deploy.core.steps import Content
from tests import sample

TEXTS = {"b.html": "b", "a/a.html": "a", "c d.html": "c"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Content]:
    """Files of a project, with others of which a server isn't asked."""
    sample.files(tmp_path, TEXTS | {"two\nlines": "", "back\\slash": ""})
    (tmp_path / "link").symlink_to("b.html")
    found: dict[str, Content] = {name: tmp_path / name for name in (*TEXTS, "two\nlines", "back\\slash", "link")}
    return found | {"made": b"by us"}


def test_sums_are_those_that_sha256sum_prints(files: dict[str, Content]) -> None:
    step = delta.compare("/srv/there", files)
    assert step.words == ("script", "compare", "folder=/srv/there")
    lines = (f"{sha256(text.encode()).hexdigest()}  {name}\n" for name, text in TEXTS.items())
    assert step.files["sums"] == "".join(lines).encode()


@pytest.mark.parametrize(("answer", "there"), [([], set(TEXTS)), ([1, 3], {"a/a.html"}), ([1, 2, 3], set[str]())])
def test_what_the_server_has_is_what_it_does_not_lack(
    answer: list[int], there: set[str], files: dict[str, Content]
) -> None:
    assert delta.there(files, answer) == there


def test_only_what_is_asked_about_counts(files: dict[str, Content]) -> None:
    assert delta.size(files) == 3
