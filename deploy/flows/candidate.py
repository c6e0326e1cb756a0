"""Candidate: the release that a run is about to make live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import PortsideError
from ..core.paths import ReleasePaths
from ..nginx.routing import Routes

Known = TypeVar("Known")

if TYPE_CHECKING:
    from ..build.source import Source
    from ..releases.answer import Answer


@dataclass
class Candidate:
    """A release that is built from the project, or chosen among those that are there.

    ``project``: what it is built from. ``release``: its paths, once it has a name. ``record``: of a chosen one, its
    record; of one that is built, what is known of it. ``routes``: what it needs of Nginx. ``django``: the project's
    answer. ``unchanged``: exactly this is live, or there is nothing to do.
    """

    project: Source | None = None
    release: ReleasePaths | None = None
    record: dict[str, Any] = field(default_factory=dict)
    routes: Routes = field(default_factory=Routes)
    django: Answer | None = None
    unchanged: bool = False

    @property
    def source(self) -> Source:
        """What it is built from. Raises PortsideError if nothing is built."""
        return _known(self.project, "No project is built in this run.")

    @property
    def paths(self) -> ReleasePaths:
        """Its paths. Raises PortsideError if it has no name yet."""
        return _known(self.release, "There is no new release in this run.")

    @property
    def answer(self) -> Answer:
        """What Django answered. Raises PortsideError if it wasn't asked yet."""
        return _known(self.django, "The project wasn't asked what it needs.")


def _known(value: Known | None, missing: str) -> Known:
    if value is None:
        raise PortsideError(missing)
    return value
