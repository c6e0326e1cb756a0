"""Access: Nginx's password file for a site, and the secret that proves to the site that a request is Nginx's."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import bcrypt

from ..core.secret import Secret

if TYPE_CHECKING:
    from ..config.settings import Settings

# Nginx checks a password at every request and blocks the worker meanwhile: 2^6 rounds take about 4 ms.
COST = 6
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPTS = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def proof(settings: Settings) -> str:
    """Return the secret that Nginx sends to the application's port, and that no other user of the server can guess. It
    is derived from SECRET_KEY, so it needn't be stored, and doesn't reveal the key."""
    key = settings.env["SECRET_KEY"].reveal()
    return hmac.new(key.encode(), f"portside proof of {settings.site}".encode(), sha256).hexdigest()


def password_file(site: str, pairs: Sequence[tuple[str, Secret]]) -> str:
    """Return the lines ``user:hash`` of a site. The same pairs always give the same lines, so that nothing changes."""
    return "".join(f"{user}:{_hashed(site, user, password)}\n" for user, password in pairs)


def _hashed(site: str, user: str, password: Secret) -> str:
    """Hash a password. The salt is derived from site and user, so that it is the same at each deploy."""
    salt = base64.b64encode(sha256(f"{site}:{user}".encode()).digest()[:16])[:22].translate(
        bytes.maketrans(_ALPHABET, _BCRYPTS)
    )
    return bcrypt.hashpw(password.reveal().encode(), b"$2b$%02d$%b" % (COST, salt)).decode()
