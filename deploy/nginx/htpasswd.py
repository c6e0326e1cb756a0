"""Access: who may see a site, by the password file that Nginx reads; and what proves to the site that Nginx asks."""

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

# Nginx checks a password at every request, in the worker that serves everybody else too: 2^6 rounds are some 4 ms.
COST = 6
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPTS = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def proof(settings: Settings) -> str:
    """What Nginx sends to the application's port and nobody on the server can guess. It is made of SECRET_KEY, so it
    needn't be kept anywhere, and doesn't give that away."""
    key = settings.env["SECRET_KEY"].reveal()
    return hmac.new(key.encode(), f"portside proof of {settings.site}".encode(), sha256).hexdigest()


def password_file(site: str, pairs: Sequence[tuple[str, Secret]]) -> str:
    """The lines ``user:hash`` of a site. The same pairs make the same lines, so that nothing has changed then."""
    return "".join(f"{user}:{_hashed(site, user, password)}\n" for user, password in pairs)


def _hashed(site: str, user: str, password: Secret) -> str:
    """The salt is of the site and the user: another for each, the same at each deploy, and no hint at the password."""
    salt = base64.b64encode(sha256(f"{site}:{user}".encode()).digest()[:16])[:22].translate(
        bytes.maketrans(_ALPHABET, _BCRYPTS)
    )
    return bcrypt.hashpw(password.reveal().encode(), b"$2b$%02d$%b" % (COST, salt)).decode()
