"""Which cases of a test are core, where not all of them are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def partly_core(cases: Iterable[Any], *core: Any) -> list[Any]:
    """The cases for ``parametrize``, these of them marked core."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.core) if case in core else case
        for case in cases
    ]
