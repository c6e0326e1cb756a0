"""DatabaseChange: what a run has done to the database, and what remains to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core.steps import Step

if TYPE_CHECKING:
    from ..releases.answer import Answer


@dataclass
class DatabaseChange:
    """What a run has done to the database.

    ``applied``: applied migrations of the candidate. ``failed_at``: the migration that failed. ``unknown``: the run was
    interrupted or the connection lost, so that the applied migrations aren't known. ``reverted``: migrations of the
    live release are reverted. ``after_switch``: steps of a rollback that run after the switch. ``restarted``: why the
    database was restarted. ``two_passwords``: the candidate has another password than the live release.
    """

    applied: tuple[str, ...] = ()
    failed_at: str = ""
    unknown: bool = False
    reverted: bool = False
    after_switch: list[Step] = field(default_factory=list)
    restarted: str = ""
    two_passwords: bool = False

    def breaks_live(self, answer: Answer | None) -> list[str]:
        """Return the applied migrations that break the live release."""
        return [name for name in self.applied if answer and name in answer.breaking]
