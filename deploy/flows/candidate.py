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
    """A release that is built from the project, or an existing one that was chosen.

    ``project``: what it is built from. ``release``: its paths, once it has a name. ``record``: the record of an
    existing release; of a new one, what is known so far. ``routes``: what it needs from Nginx. ``django``: the
    project's answer. ``unchanged``: exactly this is live, or there is nothing to do.
    """

    project: Source | None = None
    release: ReleasePaths | None = None
    record: dict[str, Any] = field(default_factory=dict)
    routes: Routes = field(default_factory=Routes)
    django: Answer | None = None
    unchanged: bool = False

    @property
    def source(self) -> Source:
        """Return what it is built from. Raises PortsideError if nothing is built."""
        return _known(self.project, "This run builds no project.")

    @property
    def paths(self) -> ReleasePaths:
        """Return its paths. Raises PortsideError if it has no name yet."""
        return _known(self.release, "This run has no new release.")

    @property
    def answer(self) -> Answer:
        """Return Django's answer. Raises PortsideError if it wasn't asked yet."""
        return _known(self.django, "Django wasn't asked yet what the project needs.")


def _known(value: Known | None, missing: str) -> Known:
    if value is None:
        raise PortsideError(missing)
    return value
