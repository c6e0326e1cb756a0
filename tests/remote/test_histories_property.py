"""What holds for any histories of migrations and any order of commands, on examples that hypothesis thinks of: the
same ones at each run. tests/histories.py does it, in a process of its own, since Django has one kind of settings."""

from __future__ import annotations

import os
import subprocess
import sys

from deploy.core.files import TOP
from deploy.ssh.payload import REMOTE

CHECKOUT = TOP


def test_the_live_release_can_always_work_with_the_database() -> None:
    """Unless that was allowed by name."""
    words = (sys.executable, "-W", "error", "-m", "tests.histories", "120")
    environment = os.environ | {"PYTHONPATH": str(REMOTE)}
    done = subprocess.run(words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 examples" in done.stdout
