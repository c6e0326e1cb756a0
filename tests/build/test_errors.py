"""Of a failed build the cause is shown, and for what is known, what helps."""

from __future__ import annotations

import pytest

from deploy.build import errors as build_errors

# As BuildKit prints it, its repetition included.
FAILED = """\
#8 [build 5/6] COPY deps/ /deps/
#8 DONE 0.0s

#9 [build 6/6] RUN --mount=type=secret,id=portside-ca sh /portside/with-ca.sh sh /portside/dependencies.sh
#9 1.204 error: Failed to build psycopg2==2.9.9
#9 1.204   Error: pg_config executable not found.
#9 ERROR: process "/bin/sh -c sh /portside/with-ca.sh" did not complete successfully: exit code: 2
------
 > [build 6/6] RUN --mount=type=secret,id=portside-ca sh /portside/with-ca.sh sh /portside/dependencies.sh:
1.204 error: Failed to build psycopg2==2.9.9
1.204   Error: pg_config executable not found.
------
Dockerfile:23
--------------------
  22 |     ARG PIP=""
  23 | >>> RUN --mount=type=secret,id=portside-ca sh /portside/with-ca.sh sh /portside/dependencies.sh
--------------------
ERROR: failed to build: failed to solve: process "/bin/sh -c sh" did not complete successfully: exit code: 2
""".splitlines()


def test_of_a_failed_build_the_failed_step_is_shown_once() -> None:
    assert build_errors.of_build(FAILED) == [
        "[build 6/6] RUN --mount=type=secret,id=portside-ca sh /portside/with-ca.sh sh /portside/dependencies.sh",
        "error: Failed to build psycopg2==2.9.9",
        "  Error: pg_config executable not found.",
        "exit code: 2",
    ]


def test_of_a_build_that_ended_otherwise_the_last_lines_are_shown() -> None:
    assert build_errors.of_build(["one", "ERROR: no builder found"]) == ["one", "ERROR: no builder found"]


def test_of_a_long_log_its_end_is_shown() -> None:
    lines = ["#1 [1/1] RUN make", *(f"#1 0.{n:03} line {n}" for n in range(100)), "#1 ERROR: exit code: 1"]
    assert build_errors.of_build(lines)[1] == "line 80"
    assert len(build_errors.of_build(lines)) == build_errors.SHOWN + 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Error: pg_config executable not found.", "psycopg2-binary"),
        ("error: command 'gcc' failed: No such file or directory", "there is no compiler"),
        ("  error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'", "there is no compiler"),
        ("unable to execute 'gcc': No such file or directory", "there is no compiler"),
        ("../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]", "there is no compiler"),
        ("/bin/sh: 1: gcc: not found", "there is no compiler"),
        ("error: linker `cc` not found", "there is no compiler"),
        ("src/x.c:1:10: fatal error: ffi.h: No such file or directory", "-dev package"),
        ("hint: foo has no wheels with a matching Python version tag (e.g., `cp313`)", "DEPLOY_PYTHON"),
        ("  × because the current Python version (3.13.5) does not satisfy Python>=3.14 and", "DEPLOY_PYTHON"),
        ("ERROR: Package 'x' requires a different Python: 3.13.5 not in '<3.11'", "DEPLOY_PYTHON"),
        ("ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)\n"
         "ERROR: No matching distribution found for nosuch", "no such package or version"),
        ("Because nosuch was not found in the package registry and you require nosuch", "no such package or version"),
        ("Because there is no version of django==99 and you require django==99", "no such package or version"),
        ("error: dns error: failed to lookup address information: Temporary failure in name resolution", "can't reach"),
        ("invalid peer certificate: UnknownIssuer", "DEPLOY_BUILD_CA"),
        ("E: Unable to locate package libnosuch", "Debian has no package"),
        ('failed to calculate checksum of ref x: "/local.py": not found', "what git tracks"),
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
    ],
)  # fmt: skip
def test_what_a_build_fails_at_has_its_way_out(line: str, said: str) -> None:
    assert said in build_errors.hint_for_build(["Collecting x", *line.splitlines()], own_dockerfile=False)


def test_packages_of_debian_are_named_where_they_are_said() -> None:
    assert "(DEPLOY_APT in .env)" in build_errors.hint_for_build(FAILED, own_dockerfile=False)
    assert "(apt-get install in the Dockerfile)" in build_errors.hint_for_build(FAILED, own_dockerfile=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("OSError: [Errno 30] Read-only file system: '/app/celerybeat-schedule'", "DEPLOY_VOLUMES"),
        ("touch: cannot touch 'x': Read-only file system", "DEPLOY_VOLUMES"),
        ("PermissionError: [Errno 13] Permission denied: '/app/logs/x.log'", "User 10001"),
        ('OCI runtime create failed: chdir to cwd ("/root/app") set in config.json failed: permission denied',
         "WORKDIR"),
        ('exec: "python": executable file not found in $PATH', "no python"),
        ("Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the "
         "defaults to assign to the network", "docker network prune"),
        ("Error response from daemon: all predefined address pools have been fully subnetted", "docker network prune"),
    ],
)  # fmt: skip
def test_what_any_step_fails_at_has_its_way_out(line: str, said: str) -> None:
    assert said in build_errors.hint([line])


def test_what_is_not_known_has_no_hint() -> None:
    assert build_errors.hint(["ValueError: no such colour"]) == ""
    assert build_errors.hint_for_build(["#9 0.1 a telling line", "exit code: 7"], own_dockerfile=True) == ""


def test_a_half_made_index_is_found_with_what_drops_it() -> None:
    drop = "DROP INDEX CONCURRENTLY public.by_title;"
    line = f"The index public.by_title of art is invalid, left by an interrupted statement. Remove it with: {drop}"
    assert build_errors.invalid_index(["ERROR", line, "A migration failed."]) == drop
    assert build_errors.invalid_index(["ERROR"]) == ""
