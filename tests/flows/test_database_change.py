"""What a run has done to the database."""

from __future__ import annotations

from deploy.flows.database_change import DatabaseChange
from tests import sample


def test_what_breaks_the_live_release_is_what_is_applied_and_breaking() -> None:
    change = DatabaseChange(applied=("a.0001", "a.0002"))
    answer = sample.answer(breaking={"a.0002": ["drops a column"], "a.0003": ["drops a table"]})
    assert change.breaks_live(answer) == ["a.0002"]
    assert (change.breaks_live(None), DatabaseChange().breaks_live(answer)) == ([], [])
