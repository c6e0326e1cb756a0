"""Many sites on one server, with names as alike as can be: what one can't do to another, and one of them taken away."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import container, fingerprint, inside, live, renew, shell, sql, traces
from ..kit.laptop import CHECKOUT, FAB, STRIPPED, Done, Fab
from ..kit.names import PREFIX
from ..kit.project import Project
from ..kit.visitors import ask, visitors
from ..kit.waiting import until

SITE, OTHERS = "a", ("a-data", "a-b", "a-20261121-080000-ab12cd3")
SECRETS = {"SECRET_KEY": "k" * 50, "POSTGRES_PASSWORD": "p" * 24}


def domain(name: str) -> str:
    return f"{name}.many-{PREFIX}.test"


def small_site(projects: Callable[[str], Project], name: str, settings: str = "", **values: str) -> Project:
    project = projects(name)
    project.write(small.files("app", settings) | {"app/files/plain.css": "p {}\n"})
    project.commit("Begin")
    project.set(DEPLOY_DOMAINS=domain(name), DEPLOY_DRAIN="5", **{**SECRETS, **values})
    project.server.acme.point(domain(name), project.server.ip)
    return project


@pytest.fixture(scope="module")
def a(projects: Callable[[str], Project]) -> Project:
    """The site that is taken away: it has all that a site can leave behind."""
    project = small_site(
        projects, SITE, small.DATABASE + small.STATIC, DEPLOY_VOLUMES="papers:/papers", DEPLOY_CACHE="10s",
        DEPLOY_PROCESS_WORKER="sleep 1000000",
    )  # fmt: skip
    project.fab("certs", on=project.server, project=project, check=True)
    project.deploy()
    sql(project.server, SITE, "create table note (text varchar)")
    sql(project.server, SITE, "insert into note values ('kept')")
    inside(project.server, SITE, "sh", "-c", "echo up >/uploads/b.txt; echo paper >/papers/c.txt")
    return project


@pytest.fixture(scope="module")
def others(projects: Callable[[str], Project], a: Project) -> list[Project]:
    """Sites whose names begin as the first one's does."""
    made = [
        small_site(projects, name, DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", DEPLOY_CACHE="10s")
        for name in OTHERS
    ]
    made[0].fab("certs", on=a.server, project=made[0], check=True)
    for project in made:
        project.deploy()
    return made


@contextmanager
def nothing_lost(*sites: Project) -> Iterator[None]:
    """Visitors come to these sites all the while."""
    with ExitStack() as stack:
        all_seen = [stack.enter_context(visitors(site.server, site.domain, a_second=10)) for site in sites]
        yield
    for seen in all_seen:
        assert seen.lost == []
        assert seen.answered > 5


def remove(site: Project, *words: str, check: bool = True) -> Done:
    return site.fab("remove", *words, on=site.server, project=site, check=check)


def typed(site: Project, line: str) -> Done:
    """Type a line into the terminal that `fab remove` asks on."""
    ours, theirs = pty.openpty()
    words = (str(FAB), "remove", "-H", site.server.name, "--env", str(site.env))
    shell_of_ours = {name: value for name, value in os.environ.items() if not STRIPPED.fullmatch(name)}
    fab = subprocess.Popen(
        words, cwd=CHECKOUT, env=shell_of_ours, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.write(ours, f"{line}\n".encode())
    out, err = fab.communicate(timeout=400)
    os.close(ours)
    os.close(theirs)
    print(out, err)
    return Done(fab.returncode, out, err)


def body(server: Practice, host: str, path: str = "/") -> str:
    """What a visitor gets; empty where there is no answer."""
    try:
        return ask(server, host, path).text
    except (OSError, http.client.HTTPException):
        return ""


def answers(site: Project) -> bool:
    """Whether a visitor gets the site's own page."""
    return f'"host": "{site.domain}"' in body(site.server, site.domain)


def generation(server: Practice) -> str:
    return shell(server, "readlink /etc/nginx/portside; cat /etc/nginx/portside/sites/* | sha256sum")


# What can't be served touches nobody


@pytest.fixture(scope="module", autouse=True)
def by_http(a: Project, others: list[Project]) -> None:
    """All of them are live; the two with certificates lead from HTTP to HTTPS."""
    assert all(answers(site) for site in others[1:])
    for site in (a, others[0]):
        assert ask(site.server, site.domain).status == 301


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("no_such_directive on;\n", 'unknown directive "no_such_directive" in /etc/nginx/portside/sites/a-b.include:1'),
        (f"server_name {domain('a-data')};\n", "Another site on this server already uses that name."),
    ],
)
def test_lines_that_nginx_refuses_are_no_harm_to_anybody(
    line: str, told: str, a: Project, others: list[Project]
) -> None:
    site, before = others[1], live(a.server, "a-b")
    with nothing_lost(*others[1:]):
        files = generation(site.server)
        site.write({"extra.conf": line})
        with site.with_settings(DEPLOY_NGINX_INCLUDE="extra.conf"):
            done = site.deploy(check=False)
            assert generation(site.server) == files
            with site.changed({"app/note.txt": "new\n"}):
                again = site.deploy(check=False)
        for failed in (done, again):
            assert failed.code == 1
            assert told in failed.err
            assert f"Release {before} is live, as before." in failed.err
        assert generation(site.server) == files
        assert shell(site.server, "nginx -t 2>&1").count("successful") == 1
        assert live(site.server, "a-b") == before
        assert shell(site.server, "ls /srv/portside/a-b/releases").split() == [before], "what failed is gone"
    others[2].write({"app/note.txt": "new\n"})
    others[2].commit("Add a note")
    others[2].deploy()
    site.write({"extra.conf": "location = /teapot {\n    return 418;\n}\n"})
    with site.with_settings(DEPLOY_NGINX_INCLUDE="extra.conf"):
        site.deploy()
    assert ask(site.server, site.domain, "/teapot").status == 418
    site.deploy()
    assert all(answers(other) for other in others[1:])


def test_a_site_put_up_by_hand_keeps_its_name(others: list[Project]) -> None:
    """Of two sites with one name Nginx serves the first, and only warns."""
    server, site = others[1].server, others[1]
    text = "server { listen 80; server_name by-hand.test; location / { return 200 mine; } }"
    shell(server, 'echo "$1" >/etc/nginx/conf.d/by-hand.conf && nginx -t && systemctl reload nginx', text)
    try:
        until(lambda: body(server, "by-hand.test") == "mine", "the site put up by hand")
        with site.with_settings(DEPLOY_DOMAINS=f"{site.domain},by-hand.test"):
            done = site.deploy(check=False)
        assert done.code == 1
        assert "by-hand.test" in done.err
        assert "Another site on this server already uses that name." in done.err
        assert body(server, "by-hand.test") == "mine"
        assert answers(site)
    finally:
        shell(server, "rm /etc/nginx/conf.d/by-hand.conf && systemctl reload nginx")
    site.deploy()


# Nobody takes a site away by mistake


@pytest.mark.usefixtures("others")
def test_without_a_terminal_it_says_what_to_type(a: Project) -> None:
    before = fingerprint(a.server)
    done = remove(a, check=False)
    assert done.code == 2
    assert f"fab remove --yes -H {a.server.name}" in done.err
    assert fingerprint(a.server) == before


def test_another_name_that_is_typed_changes_nothing(a: Project) -> None:
    before = fingerprint(a.server)
    done = typed(a, "a-data")
    assert (done.code, "That isn't a." in done.err) == (2, True)
    assert f"release {live(a.server, SITE)} is live" in done.out
    assert fingerprint(a.server) == before


def test_the_site_of_another_project_is_refused(projects: Callable[[str], Project], a: Project) -> None:
    before = fingerprint(a.server)
    impostor = small_site(projects, "impostor", DEPLOY_SITE=SITE, DEPLOY_DATABASE="none")
    done = remove(impostor, "--yes", check=False)
    assert done.code == 2
    assert domain(SITE) in done.err
    assert fingerprint(a.server) == before


def test_a_site_that_is_not_there_is_nothing_to_take_away(projects: Callable[[str], Project], a: Project) -> None:
    before = fingerprint(a.server)
    stranger = small_site(projects, "a-da", DEPLOY_DATABASE="none")
    assert "a-da isn't on" in remove(stranger, "--yes").out
    assert fingerprint(a.server) == before


def test_certificates_of_a_site_never_deployed_are_taken_away_too(
    projects: Callable[[str], Project], a: Project
) -> None:
    early = small_site(projects, "a-d", DEPLOY_DATABASE="none")
    early.fab("certs", on=a.server, project=early, check=True)
    assert "a-d was removed from" in remove(early, "--yes").out
    assert traces(a.server, "a-d") == ""
    assert shell(a.server, "ls /etc/letsencrypt/renewal").split() == ["a-data.conf", "a.conf"]


def test_a_static_site_is_taken_away_as_well(projects: Callable[[str], Project], a: Project) -> None:
    static = projects("a-static")
    static.write({"site/index.html": "<h1>Static</h1>\n"})
    static.commit("Begin")
    static.set(DEPLOY_KIND="static", DEPLOY_APP="site", DEPLOY_DOMAINS=domain("a-static"))
    static.deploy()
    assert body(a.server, static.domain) == "<h1>Static</h1>\n"
    remove(static, "--yes")
    assert traces(a.server, "a-static") == ""
    assert body(a.server, static.domain) == ""


def test_without_room_for_the_backup_the_site_stays(a: Project) -> None:
    shell(
        a.server,
        "mkdir -p -m 700 /var/lib/portside/backups && mount -t tmpfs -o size=2m none /var/lib/portside/backups",
    )
    release, files = live(a.server, SITE), generation(a.server)
    try:
        done = remove(a, "--yes", check=False)
        assert shell(a.server, "find /var/lib/portside/backups -type f") == ""
    finally:
        shell(a.server, "umount /var/lib/portside/backups")
    assert done.code == 1
    assert "The disk has no room for the backup" in done.err
    assert f"Release {release} is live, as before." in done.err
    assert (live(a.server, SITE), generation(a.server)) == (release, files)
    assert "nothing to do" in a.deploy().out


def test_a_database_that_can_not_be_dumped_keeps_the_site(a: Project) -> None:
    """Somebody works on it in psql. The application has been stopped by then, and starts again."""
    release = live(a.server, SITE)
    held = "begin; lock table note; select pg_sleep(600)"
    session = 'exec psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"'
    a.server.exec(("docker", "exec", "-d", container(a.server, SITE, "db"), "sh", "-c", session, "sh", held))
    who = "from pg_stat_activity where query like 'begin; lock%'"
    until(lambda: sql(a.server, SITE, f"select count(*) {who}") == "1", "the lock")
    done = remove(a, "--yes", check=False)
    sql(a.server, SITE, f"select pg_terminate_backend(pid) {who}")
    assert done.code == 1
    assert "LOCK TABLE" in done.err
    assert "The database can't be dumped. Nothing was removed." in done.err
    assert f"Release {release} is live, as before." in done.err
    assert shell(a.server, "find /var/lib/portside/backups -path '*/a/*'") == ""
    assert "nothing to do" in a.deploy().out
    assert sql(a.server, SITE, "select text from note") == "kept"


# Taken away


def backup(server: Practice, site: str = SITE) -> list[str]:
    return shell(server, 'ls -d "/var/lib/portside/backups/$1"/*', site).split()


@pytest.fixture(scope="module")
def removed(a: Project, others: list[Project]) -> Done:
    """Taken away while visitors come to the others."""
    release = live(a.server, SITE)
    port = shell(a.server, "sed -n 's/^PORTSIDE_PORT_1=//p' /srv/portside/a/current/.env").strip()
    assert f"127.0.0.1:{port} " in shell(a.server, "ss -Hltn")
    with nothing_lost(*others[1:]):
        done = typed(a, SITE)
    assert done.code == 0
    assert f":{port} " not in shell(a.server, "ss -Hltn")
    assert f"release {release} is live" in done.out
    return done


def test_nothing_of_it_is_left(a: Project, removed: Done) -> None:
    assert traces(a.server, SITE) == ""
    assert "a was removed from" in removed.out
    assert body(a.server, a.domain) == "", "no answer at all, as to any name that isn't ours"


def test_the_others_are_as_they_were(others: list[Project], removed: Done) -> None:
    for site in others:
        assert "nothing to do" in site.deploy().out
        assert shell(site.server, "find /var/cache/nginx -maxdepth 1 -name portside-$1", site.name).strip()
    assert all(answers(site) for site in others[1:])


def test_certificates_of_the_others_are_still_renewed(others: list[Project], removed: Done) -> None:
    server = others[0].server
    assert shell(server, "ls /etc/letsencrypt/renewal").split() == ["a-data.conf"]
    renew(server)
    assert ask(server, domain("a-data")).status == 301


def test_its_backup_is_whole_and_roots_alone(a: Project, removed: Done) -> None:
    folder = backup(a.server)[0]
    assert folder in removed.out
    assert shell(a.server, 'stat -c "%a %U" "$1" "${1%/*}" "${1%/*/*}"', folder).split() == ["700", "root"] * 3
    assert shell(a.server, 'find "$1" ! -user root -o -perm /077', folder) == ""
    record = json.loads(shell(a.server, 'cat "$1/backup.json"', folder))
    assert (record["site"], record["domains"], record["database"]) == (SITE, [domain(SITE)], "postgres:17")
    assert {"media/b.txt", "volumes/papers/c.txt"} <= set(shell(a.server, 'tar -tf "$1/files.tar"', folder).split())
    assert "a.access.log" in shell(a.server, 'ls "$1/logs"', folder)


def test_its_name_and_domains_are_anybodys(
    projects: Callable[[str], Project], others: list[Project], removed: Done
) -> None:
    heir = small_site(projects, "heir", DEPLOY_SITE=SITE, DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off")
    heir.set(DEPLOY_DOMAINS=f"{domain('heir')},{domain(SITE)}")
    heir.deploy()
    assert f'"host": "{domain(SITE)}"' in body(heir.server, domain(SITE))
    assert shell(heir.server, "docker volume ls -q") == "", "nothing of the one before is found again"
    remove(heir, "--yes")
    assert traces(heir.server, SITE) == ""


def test_again_there_is_nothing_to_take_away(a: Project, removed: Done) -> None:
    before = fingerprint(a.server)
    done = remove(a, "--yes")
    assert "there is nothing to remove" in done.out
    assert backup(a.server)[-1] in done.out
    assert fingerprint(a.server) == before


def test_it_is_deployed_anew_and_brought_back(a: Project, others: list[Project], removed: Done) -> None:
    with nothing_lost(*others[1:]):
        a.deploy()
    assert answers(a), "without a certificate, as a new one"
    assert sql(a.server, SITE, "select count(*) from pg_tables where tablename = 'note'") == "0"
    assert ask(a.server, a.domain, "/uploads/b.txt").status == 404
    commands = re.findall(r"^    ((?:docker|tar) .*)$", removed.out, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        shell(a.server, command)
    assert sql(a.server, SITE, "select text from note") == "kept"
    assert ask(a.server, a.domain, "/uploads/b.txt").text == "up\n"
    assert inside(a.server, SITE, "cat", "/papers/c.txt") == "paper\n"
    assert shell(a.server, "stat -c %u:%g /srv/portside/a/media/b.txt").strip() == "10001:33"


# Interrupted


def refused_until_it_is_finished(site: Project) -> None:
    done = site.deploy(check=False)
    assert done.code == 2
    assert "fab remove" in done.err
    assert "was interrupted" in done.err


def test_what_can_not_be_taken_away_is_told_and_the_next_time_goes_on(a: Project, others: list[Project]) -> None:
    a.deploy()
    stranger = container(a.server, others[1].name)
    a.server.exec(("docker", "network", "connect", "portside-a", stranger))
    try:
        done = remove(a, "--yes", check=False)
        assert done.code == 1
        assert "fab remove" in done.err
        assert "It continues where it stopped." in done.err
        refused_until_it_is_finished(a)
    finally:
        a.server.exec(("docker", "network", "disconnect", "portside-a", stranger))
    folder = backup(a.server)[-1]
    again = remove(a, "--yes")
    assert folder in again.out
    assert backup(a.server)[-1] == folder, "there is no other backup of what is gone"
    assert "database.dump" in shell(a.server, 'ls "$1"', folder)
    assert traces(a.server, SITE) == ""
    assert all(answers(site) for site in others[1:])


def test_another_is_deployed_meanwhile(a: Project, others: list[Project], fab: Fab) -> None:
    """Both change Nginx's files."""
    a.deploy()
    running = fab.start("remove", "--yes", on=a.server, project=a)
    site = others[1]
    with site.with_settings(DEPLOY_MAX_BODY="3m"):
        until(lambda: "Make the final backup" in running.out.read_text(), "the backup")
        site.deploy()
        assert running.end().code == 0
        assert traces(a.server, SITE) == ""
        assert "client_max_body_size 3m" in shell(a.server, "cat /etc/nginx/portside/sites/a-b.conf")
    site.deploy()
    assert answers(site)


def test_a_laptop_that_dies_is_not_needed_to_the_end(a: Project, others: list[Project], fab: Fab) -> None:
    a.deploy()
    running = fab.start("remove", "--yes", on=a.server, project=a)
    until(lambda: "Make the final backup" in running.out.read_text(), "the backup")
    running.process.kill()
    running.process.wait()
    until(lambda: shell(a.server, "ls -d /srv/portside/a 2>/dev/null || true") == "", "the end of it")
    done = remove(a, "--yes")
    assert backup(a.server)[-1] in done.out
    assert traces(a.server, SITE) == ""


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param("test -d /var/lib/portside/backups/a/*.new", id="backup"),
        pytest.param("test -f /srv/portside/a/removing", id="nginx"),
        pytest.param('test -z "$(docker volume ls -q --filter label=portside.site=a)"', id="volumes"),
    ],
)
def test_a_power_cut_in_the_middle(reached: str, a: Project, others: list[Project], fab: Fab) -> None:
    a.deploy()
    # Who waits for certbot has taken the volumes away, and nothing more.
    shell(a.server, "systemd-run --quiet --unit e2e-certbot flock /run/portside/certbot.lock sleep 600")
    running = fab.start("remove", "--yes", on=a.server, project=a)
    shell(a.server, f"for _ in $(seq 6000); do {reached} 2>/dev/null && exit 0; sleep 0.01; done; exit 1")
    a.server.kill()
    assert running.end().code != 0
    a.server.start()
    assert remove(a, "--yes").code == 0
    assert traces(a.server, SITE) == ""
    assert "database.dump" in shell(a.server, 'ls "$1"', backup(a.server)[-1])
    for site in others[1:]:
        until(lambda site=site: answers(site), "the others")  # type: ignore[misc]


def test_the_last_of_them_goes_too(others: list[Project]) -> None:
    server = others[0].server
    for site in others:
        assert site.name in remove(site, "--yes").out
        assert traces(server, site.name) == ""
    assert shell(server, "ls -A /srv/portside; ls -A /etc/letsencrypt/renewal") == ""
    renew(server)
    shell(server, "nginx -t && ! ls /etc/systemd/system/certbot.service.d/*")
    others[1].deploy()
    assert answers(others[1])
