"""The password file that Nginx reads, and what proves that Nginx asks."""

from __future__ import annotations

from pathlib import Path

import bcrypt

from deploy.core.secret import Secret
from deploy.nginx.htpasswd import password_file, proof
from tests import sample

PAIRS = [("ann", Secret("correct horse")), ("bob", Secret("p@ss:word"))]


def lines(site: str = "gallery", pairs: list[tuple[str, Secret]] = PAIRS) -> dict[str, str]:
    return dict(line.split(":", 1) for line in password_file(site, pairs).splitlines())


def test_each_user_has_a_line_that_only_the_password_fits() -> None:
    found = lines()
    assert list(found) == ["ann", "bob"]
    assert bcrypt.checkpw(b"correct horse", found["ann"].encode())
    assert not bcrypt.checkpw(b"correct horsE", found["ann"].encode())
    assert bcrypt.checkpw(b"p@ss:word", found["bob"].encode())


def test_the_same_passwords_make_the_same_file() -> None:
    assert lines() == lines()


def test_a_salt_is_of_one_site_and_one_user() -> None:
    same = [("ann", Secret("x")), ("bob", Secret("x"))]
    hashes = [*lines("gallery", same).values(), *lines("atelier", same).values()]
    assert len(set(hashes)) == 4


def test_the_salt_tells_nothing_of_the_password() -> None:
    one, other = (lines(pairs=[("ann", Secret(password))])["ann"] for password in ("one", "other"))
    assert one[:29] == other[:29]
    assert one != other


def test_a_proof_is_of_one_site_and_one_key(tmp_path: Path) -> None:
    first, again, other_site, other_key = (
        proof(sample.settings(tmp_path, **changed))
        for changed in ({}, {"DEPLOY_WORKERS": "2"}, {"DEPLOY_SITE": "shop"}, {"SECRET_KEY": "another-key-of-a-site"})
    )
    assert first == again
    assert len({first, other_site, other_key}) == 3
    assert len(first) == 64
