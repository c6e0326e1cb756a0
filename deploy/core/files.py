"""Paths of Portside's own files on this machine."""

from __future__ import annotations

from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
COMPOSE = TOP / "compose"
NGINX_TEMPLATES = TOP / "nginx_templates"
REMOTE = TOP / "deploy" / "remote"
"""Scripts that run on the server."""
HOST = REMOTE / "host"
"""Files and systemd units for the host."""
SAMPLE = TOP / "app"
"""The sample site. It is deployed only if DEPLOY_APP names it."""
ENV_EXAMPLE = TOP / ".env.example"
SETTINGS_DOCS = TOP / "docs" / "settings.md"

PRACTICE = TOP / ".practice"
"""Files that ``fab practice`` keeps."""
PRACTICE_SSH_CONFIG = PRACTICE / "ssh_config"
PRACTICE_CA = PRACTICE / "acme-ca.pem"
