"""Visitors who follow redirects as a browser does: those who come for the first time, and one who remembers."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from deploy.practice import Practice

from .https import Root, get
from .visitors import Answer, ask
from .waiting import HANGS

MOST = 10  # redirects
PERMANENT = {301, 308}
REDIRECTS = {*PERMANENT, 302, 303, 307}


@dataclass
class Browser:
    """Follows redirects. It keeps permanent ones, and goes to no name without HTTPS that has asked for it (HSTS)."""

    server: Practice
    root: Root
    kept: dict[str, str] = field(default_factory=dict)
    strict: set[str] = field(default_factory=set)

    def visit(self, url: str) -> str:
        """The address at which a page is shown in the end. Raises OSError or ValueError where there is none."""
        for _ in range(MOST):
            url = self._strictly(url)
            if url in self.kept:
                url = self.kept[url]
                continue
            answer = self._ask(url)
            if answer.status not in REDIRECTS:
                if answer.status != 200:
                    raise ValueError(f"{answer.status} at {url}")
                return url
            to = urljoin(url, answer.headers["location"])
            if answer.status in PERMANENT and answer.headers.get("cache-control") != "no-cache":
                self.kept[url] = to
            url = to
        raise ValueError(f"a loop at {url}")

    def _strictly(self, url: str) -> str:
        parts = urlsplit(url)
        return parts._replace(scheme="https").geturl() if parts.hostname in self.strict else url

    def _ask(self, url: str) -> Answer:
        parts = urlsplit(url)
        host, path = str(parts.hostname), parts.path or "/"
        if parts.scheme == "http":
            return ask(self.server, host, path)
        answer = get(self.server, self.root, host, path)
        if "strict-transport-security" in answer.headers:
            self.strict.add(host)
        return answer


@dataclass
class Visits:
    """``urls``: where visitors come to, in turn; ``ended``: where they saw a page; ``lost``: who saw none, and why."""

    urls: list[str]
    ended: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def come_to(self, *urls: str) -> None:
        self.urls = [*self.urls, *urls]


@contextmanager
def visits(server: Practice, root: Root, *urls: str, a_second: float = 20) -> Iterator[Visits]:
    """As long as the block runs (at most three minutes), visitors come to these addresses in turn. Every other one has
    been there before and remembers what browsers do."""
    seen, over, regular = Visits(list(urls)), threading.Event(), Browser(server, root)

    def visit(url: str, browser: Browser, since: float) -> None:
        try:
            seen.ended[browser.visit(url)] += 1
        except (OSError, ValueError, http.client.HTTPException) as error:
            seen.lost.append(f"{time.monotonic() - since:.1f} s in: {url}: {error!r}")

    def come() -> None:
        began, pool = time.monotonic(), []
        for number in itertools.count():
            if over.wait(1 / a_second) or time.monotonic() > began + HANGS:
                break
            browser = regular if number % 2 else Browser(server, root)
            url = seen.urls[number // 2 % len(seen.urls)]
            pool.append(threading.Thread(target=visit, args=(url, browser, began)))
            pool[-1].start()
        for visitor in pool:
            visitor.join()

    coming = threading.Thread(target=come)
    coming.start()
    try:
        yield seen
    finally:
        over.set()
        coming.join()
