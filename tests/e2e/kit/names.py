"""Names that no two runs on this machine share."""

from __future__ import annotations

import os

PREFIX = os.environ.get("PORTSIDE_E2E", "e2e")
"""What the servers' names begin with: with another one, another run goes on beside this one."""

DOMAIN = f"portfolio-{PREFIX}.test"
"""The sample site's. Names lead to the same server for all that ask, so no two runs have the same."""


def server_name(file: str, purpose: str = "") -> str:
    """The name of a server that the tests in a file have, for a purpose. ``file``: without ``test_``."""
    return "-".join(filter(None, (PREFIX, file.replace("_", "-")[:18].rstrip("-"), purpose)))
