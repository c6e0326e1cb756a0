"""The commands that bring data back, as a shell reads them."""

from __future__ import annotations

import shlex

from deploy.releases import restore_commands
from tests import sample

SITE = sample.SITE


def test_a_dump_is_read_by_the_sites_own_database() -> None:
    command = restore_commands.database(SITE, "ann o'neil", "art", "/backups/before-x.dump")
    words, _, dump = command.rpartition(" <")
    assert shlex.split(words)[:7] == ["docker", "compose", "-f", SITE.data_compose, "exec", "-T", "db"]
    assert shlex.split(words)[-4:] == ["-U", "ann o'neil", "-d", "art"]
    assert dump == "/backups/before-x.dump"


def test_of_an_archive_some_folders_can_be_taken() -> None:
    assert restore_commands.files(SITE, "/b/files.tar", "media") == f"tar -C {SITE.root} -xpf - media </b/files.tar"


def test_an_empty_database_needs_its_network_first() -> None:
    network, start = restore_commands.empty_database(SITE)
    assert f"docker network create --label portside.site=portfolio {SITE.network}" in network
    assert start.endswith("up -d --force-recreate --wait")


def test_a_folder_is_for_the_application_and_nginx() -> None:
    assert restore_commands.empty_folder("/srv/m") == "install -d -m 2750 -o 10001 -g 33 /srv/m"
