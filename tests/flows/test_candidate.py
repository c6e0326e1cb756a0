"""The release that a run is about to make live."""

from __future__ import annotations

import pytest

from deploy.core.errors import PortsideError
from deploy.flows.candidate import Candidate
from tests import sample


@pytest.mark.parametrize(
    ("part", "missing"),
    [("source", "builds no project"), ("paths", "no new release"), ("answer", "wasn't asked")],
)
def test_what_is_not_known_yet_is_an_error(part: str, missing: str) -> None:
    with pytest.raises(PortsideError, match=missing):
        getattr(Candidate(), part)


def test_what_is_known_is_returned() -> None:
    paths, answer = sample.SITE.release(sample.NEW), sample.answer()
    new = Candidate(release=paths, django=answer)
    assert (new.paths, new.answer) == (paths, answer)
