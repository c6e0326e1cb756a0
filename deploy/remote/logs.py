"""Print a site's logs by time, from its containers and from Nginx, as lines of TIME<tab>SERVICE<tab>TEXT.

Sent as the words of a command: python3 -c TEXT QUERY, where QUERY is JSON (see deploy/cli/logs.py). Times are UTC.
An error is a line without a tab, with exit code 2; exit code 3: the site isn't on this server. Works with Python 3.9.
"""

import gzip
import heapq
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from datetime import datetime, timezone

LABELS = ("portside.role", "portside.release", "portside.process", "com.docker.compose.service")
ACCESS = ("status", "method", "host", "uri", "seconds", "bytes", "address", "agent", "id")
ERROR = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) (.*)")
query = json.loads(sys.argv[1])
wanted = re.compile(query["grep"])
since = query["since"]
if since is not None and since < 0:  # seconds ago, by this machine's clock
    since += time.time()
printing = threading.Lock()


def emit(when, service, text):
    """Print a line."""
    shown = datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")  # noqa: UP017
    with printing:
        sys.stdout.write(f"{shown}\t{service}\t{text}\n")


def selected(lines):
    """Yield the lines that are new enough and match the expression."""
    return (line for line in lines if (since is None or line[0] >= since) and wanted.search(line[2]))


def newest(lines):
    """Return the last lines, as many as the query wants."""
    return lines if query["tail"] is None else deque(lines, query["tail"])


class Container:
    """A container of the site."""

    def __init__(self, identity, role, release, process, compose):
        self.identity, self.role, self.release = identity, role, release
        self.service = process or (compose if role == "web" else role)
        self.names = {self.service, role} if role != "process" else {self.service}
        self.last = ""  # timestamp of the last line, as Docker writes it

    def lines(self):
        """Yield its log as (time, service, text)."""
        words = ["--tail", str(query["tail"])] if query["tail"] is not None and not query["grep"] else []
        words += ["--since", f"{since:.3f}"] if since is not None else []
        yield from selected(self._read(words))

    def follow(self):
        """Print what it logs from now on, until it ends."""
        begin = self.last or f"{started:.3f}"
        for line in selected(self._read(["--follow", "--since", begin], begin)):
            emit(*line)
            sys.stdout.flush()

    def _read(self, words, after=""):
        done = subprocess.Popen(
            ["docker", "logs", "--timestamps", *words, self.identity],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        for raw in done.stdout:
            stamp, _, text = raw.decode(errors="replace").rstrip("\r\n").partition(" ")
            if stamp[10:11] != "T" or (after[10:11] == "T" and stamp <= after):
                continue
            self.last = stamp
            yield instant(stamp), self.service, text
        done.wait()


def instant(stamp):
    """Return 2026-11-30T17:16:34.123456789Z as seconds."""
    return datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()


class File:
    """One of Nginx's logs with its rotated files."""

    def __init__(self, path, read):
        self.path, self.read, self.service, self.names = path, read, "nginx", {"nginx"}
        self.role = "nginx"
        self.end = 0  # bytes read of the current file

    def lines(self):
        """Yield its lines as (time, service, text)."""
        if query["tail"] is None:
            for path in reversed(self._files()):
                yield from selected(self._lines(path))
            return
        found = deque()
        for path in self._files():
            found.extendleft(reversed(deque(selected(self._lines(path)), query["tail"] - len(found))))
            if len(found) >= query["tail"]:
                break
        yield from found

    def follow(self):
        """Print what is appended from now on, also after a rotation."""
        begin = ["-c", f"+{self.end + 1}"]
        done = subprocess.Popen(
            ["tail", *begin, "-F", self.path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for line in selected(self._parsed(done.stdout)):
            emit(*line)
            sys.stdout.flush()

    def _files(self):
        """Return its files that may have matching lines, newest first."""
        folder, name = os.path.split(self.path)
        rotated = re.compile(re.escape(name) + r"(?:\.(\d+)(?:\.gz)?)?\Z")
        numbers = {rotated.match(each): each for each in os.listdir(folder)} if os.path.isdir(folder) else {}
        ordered = sorted((int(found.group(1) or 0), each) for found, each in numbers.items() if found)
        paths = [os.path.join(folder, each) for _, each in ordered]
        return [path for path in paths if since is None or os.path.getmtime(path) >= since]

    def _lines(self, path):
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as stream:
            yield from self._parsed(self._whole(stream, path))

    def _whole(self, stream, path):
        """Yield the complete lines."""
        for raw in stream:
            if path == self.path:
                if not raw.endswith(b"\n"):
                    return
                self.end += len(raw)
            yield raw

    def _parsed(self, stream):
        before = 0.0
        for raw in stream:
            text = raw.decode(errors="replace").rstrip("\r\n")
            when, text = self.read(text)
            before = before if when is None else when
            yield before, self.service, text


def access(text):
    """Return time and text of a line of an access log, with the status first."""
    try:
        found = json.loads(text)
        when = datetime.fromisoformat(found["time"]).timestamp()
        status, method, host, uri, seconds, size, address, agent, identity = (found[name] for name in ACCESS)
    except (ValueError, KeyError, TypeError):
        return None, text
    upstream = found.get("upstream_status", "")
    through = "" if upstream in {"", "-", str(status)} else f" (application: {upstream})"
    return when, f'{status} {method} {host}{uri}{through} {seconds} s {size} B {address} "{agent}" {identity}'


def error(text):
    """Return time and text of a line of an error log. Its time is in the server's time zone."""
    found = ERROR.match(text)
    if not found:
        return None, text
    return time.mktime(time.strptime(found.group(1), "%Y/%m/%d %H:%M:%S")), found.group(2)


def containers(*words):
    """Return the site's containers that serve it, and its database's."""
    labels = "\t".join(f'{{{{.Label "{label}"}}}}' for label in LABELS)
    try:
        printed = subprocess.run(
            ["docker", "ps", "--all", "--no-trunc", "--filter", f"label=portside.site={query['site']}", *words,
             "--format", "{{.ID}}\t" + labels],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
    except FileNotFoundError:  # a server with only static sites has no Docker
        return []
    found = [Container(*line.split("\t")) for line in printed.splitlines()]
    return [each for each in found if each.role in {"web", "process", "db"}]


def live(container):
    """Return whether a container belongs to the live release, or to all releases."""
    return container.role == "db" or container.release == current


def is_asked_for(source):
    return not query["services"] or bool(source.names & set(query["services"]))


class Follower:
    """Follow sources as they appear, each once."""

    def __init__(self):
        self.at = {}

    def begin(self, key, source):
        before, known = self.at.get(key, (None, None))
        if before and before.is_alive():
            before.join(2)  # it ends with the container, which Docker may report after the new start
            if before.is_alive():
                return
        if known:
            source.last = known.last
        thread = threading.Thread(target=self._follow, args=(source,), daemon=True)
        self.at[key] = thread, source
        thread.start()

    def _follow(self, source):
        try:
            source.follow()
        except BrokenPipeError:  # the reader is gone
            os._exit(1)

    def started(self, stream):
        """Follow containers that start from now on: those of the next release, and those that restart."""
        for raw in stream:
            identity = raw.decode().strip()
            for each in containers("--filter", f"id={identity}"):
                if is_asked_for(each):
                    self.begin(identity, each)


def main():
    if not os.path.isdir(query["root"]):
        return 3
    known = [*containers(), File(query["access"], access), File(query["error"], error)]
    there = [each for each in known if isinstance(each, File) or live(each)]
    names = set().union(*(each.names for each in there))
    unknown = [name for name in query["services"] if name not in names]
    if unknown:
        print(f"There is no service {', '.join(unknown)} here. There are: {', '.join(sorted(names))}.")
        return 2
    starts = None
    if query["follow"] and any(isinstance(each, Container) for each in known):
        starts = subprocess.Popen(
            ["docker", "events", "--filter", f"label=portside.site={query['site']}", "--filter", "event=start",
             "--format", "{{.ID}}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    # With --since, read the previous releases too: one of them may have been live then.
    read = [each for each in (there if since is None else known) if is_asked_for(each)]
    for line in newest(heapq.merge(*(newest(each.lines()) for each in read), key=lambda line: line[0])):
        emit(*line)
    sys.stdout.flush()
    if query["follow"]:
        follower = Follower()
        for each in there:
            if is_asked_for(each):
                follower.begin(getattr(each, "identity", each), each)
        if starts:
            follower.started(starts.stdout)
        threading.Event().wait()
    return 0


started = time.time()
current = os.path.basename(os.path.realpath(os.path.join(query["root"], "current")))
try:
    code = main()
    sys.stdout.flush()
except BrokenPipeError:  # the reader is gone
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    code = 1
os._exit(code)
