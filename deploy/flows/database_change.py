"""DatabaseChange: what a run has done to the database, and what it still has to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core.steps import Step

if TYPE_CHECKING:
    from ..releases.answer import Answer


@dataclass
class DatabaseChange:
    """What a run has done to the database.

    ``applied``: migrations of the candidate that are applied. ``failed_at``: the migration that failed. ``unknown``:
    the run was interrupted or the connection lost, so that nobody knows how far they came. ``reverted``: migrations of
    the live release are reverted. ``after_switch``: steps of a rollback that wait for the switch. ``restarted``: why
    the database was restarted. ``two_passwords``: the candidate has another password than the live release.
    """

    applied: tuple[str, ...] = ()
    failed_at: str = ""
    unknown: bool = False
    reverted: bool = False
    after_switch: list[Step] = field(default_factory=list)
    restarted: str = ""
    two_passwords: bool = False

    def breaks_live(self, answer: Answer | None) -> list[str]:
        """The applied migrations that break the live release."""
        return [name for name in self.applied if answer and name in answer.breaking]
