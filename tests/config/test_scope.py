"""What each setting belongs to."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from deploy.config import scope
from deploy.config.names import FAMILIES
from deploy.config.scope import setting
from deploy.config.settings import Settings

NO_OTHER_RELEASE = {
    "hosts", "redirect_domains", "registry_user", "registry_password", "build_cache", "upstream", "drain", "keep",
    "fallback", "firewall",
}  # fmt: skip


class Model(BaseModel):
    """Two settings, and a field that is none."""

    small: int = setting(scope.NGINX, 1, "a number", le=5, only=scope.DJANGO_KIND)
    needed: str = setting(scope.RELEASE, ..., "some text", makes_release=False)
    other: int = 3


def test_a_setting_has_the_scope_of_its_group_but_for_what_it_has_otherwise() -> None:
    assert scope.scopes(Model) == {
        "small": scope.Scope("Nginx", only="django", makes_release=False),
        "needed": scope.Scope("The release", makes_release=False),
    }


def test_a_setting_is_a_field_with_its_constraints() -> None:
    assert Model(needed="x").small == 1
    assert Model.model_fields["needed"].description == "some text"
    for wrong in ({}, {"needed": "x", "small": 6}):
        with pytest.raises(ValidationError):
            Model(**wrong)


def test_every_field_but_what_the_file_says_besides_is_a_setting() -> None:
    assert set(Settings.model_fields) - set(Settings.scopes()) == {"env", "dotenv"}
    assert set(Settings.scopes()) - Settings.known() == set(FAMILIES)


def test_what_concerns_nginx_certificates_and_the_server_makes_no_other_release() -> None:
    elsewhere = {scope.NGINX.group, scope.CERTIFICATES.group}
    kept = {name for name, its in Settings.scopes().items() if not its.makes_release and its.group not in elsewhere}
    assert kept == NO_OTHER_RELEASE
    assert not [name for name, its in Settings.scopes().items() if its.makes_release and its.group in elsewhere]


def test_a_folder_of_files_is_not_built_and_runs_nothing() -> None:
    of_an_application = {"The image", "The build of the image", "The application", "The database"}
    assert {its.group for its in Settings.scopes().values() if its.only == scope.DJANGO_KIND} - of_an_application == {
        "The release",
        "Nginx",
    }
    assert not [name for name, its in Settings.scopes().items() if its.group in of_an_application and not its.only]
