"""Visit the site as a browser does: follow redirects within the site's names and judges the page they end at.

visit.py NGINX URL REQUEST      asks through Nginx on this machine; exits with 1 and prints the reason if the site isn't
                                healthy
NGINX: a JSON file; see Edge. REQUEST: a file that gets the request whose answer was an error; see cause.py.
gate.py uses the same code to ask a release that isn't live yet.
"""

import contextlib
import functools
import json
import os
import posixpath
import re
import socket
import string
import sys
import time
from urllib.parse import quote, unquote, urljoin, urlsplit

SECONDS = 15  # for one answer
MOST = 10  # redirects
REDIRECTS = {301, 302, 303, 307, 308}
PASSING = {0, 429, 502, 503, 504}  # statuses that may change without a new release; 0: no answer
KEPT = 65536  # bytes of an answer
LOOPBACK = "127.0.0.1"
PORTS = {"http": 80, "https": 443}


class Answer:
    """An HTTP answer. ``status`` is 0 if there was none."""

    def __init__(self, status=0, headers=(), body=b""):
        self.status, self.headers, self.body = status, headers, body

    @classmethod
    def read(cls, raw):
        head, _, body = raw.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        words = line.split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
            return cls()
        if words[1].startswith("1") and body:  # an interim answer such as 103 Early Hints
            return cls.read(body)
        pairs = (line.partition(":") for line in lines)
        headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        chunked = any(name == "transfer-encoding" and "chunked" in value.lower() for name, value in headers)
        return cls(int(words[1]), headers, _joined(body) if chunked else body)

    def all(self, name):
        return [value for each, value in self.headers if each == name]

    @property
    def location(self):
        """The target of a redirect, or an empty string."""
        return next(iter(self.all("location")), "") if self.status in REDIRECTS else ""

    def text(self):
        """The first lines of the page, without tags. Cut between words: half a secret couldn't be masked."""
        text = re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^>]*>", "", self.body.decode("utf-8", "replace"))
        text = "\n".join(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
        shown = text if len(text) <= 600 else re.sub(r"\S*\Z", "", text[:600])
        return "\n".join(shown.splitlines()[:8])


def _joined(body):
    """The body that was sent in chunks."""
    parts = []
    while body:
        size, _, body = body.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            break
        parts.append(body[:length])
        body = body[length + 2 :] if length else b""
    return b"".join(parts)


def exchange(connection, request):
    """Send a request and read its answer to the end. Returns what came in time; of a long answer the beginning."""
    limit, raw = time.monotonic() + SECONDS, b""
    with contextlib.suppress(OSError):
        connection.sendall(request)
        while (part := connection.recv(65536)) and time.monotonic() < limit:
            raw += part[: max(KEPT - len(raw), 0)]
            connection.settimeout(max(limit - time.monotonic(), 0.001))
    return raw


def request(host, path, headers):
    """A GET request of HTTP/1.1 as bytes."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: Portside", "Accept: */*", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Edge:
    """What Nginx does with the site's names, by itself and for the application.

    ``names``: scheme and name, or a wildcard -> the scheme by which that reaches Nginx. ``redirects``: those of them
    that Nginx redirects -> where to. ``places``: URL path -> the folder whose files Nginx serves there.
    """

    def __init__(self, names, redirects=(), places=()):
        self.names, self.redirects, self.places = names, dict(redirects), dict(places)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as stream:
            return cls(**json.load(stream))

    def find(self, scheme, name):
        """The entry of ``names`` that a name belongs to; empty if Nginx doesn't serve it by this scheme."""
        labels = name.split(".")
        wildcards = [".".join(("*", *labels[start:])) for start in range(1, len(labels))]
        return next((key for each in (name, *wildcards) if (key := f"{scheme}://{each}") in self.names), "")

    def scheme(self, url):
        """The scheme by which a URL of the site's reaches Nginx: a proxy in front may speak another."""
        return self.names[self.find(*urlsplit(url)[:2])]

    def redirect(self, url):
        """Where Nginx redirects a URL of the site's, or an empty string."""
        return self.redirects.get(self.find(*urlsplit(url)[:2]), "")

    def is_related(self, host):
        """Whether a name is one of the site's, or above or below one: www.example.com and example.com."""
        own = {name.partition("://")[2].removeprefix("*.") for name in self.names}
        return any(f".{name}".endswith(f".{host}") or f".{host}".endswith(f".{name}") for name in own)

    def file(self, path):
        """Nginx's own answer at a path of files; None if it asks the application."""
        path = posixpath.normpath(unquote(path)) + "/" * path.endswith("/")
        for url, folder in self.places.items():
            if path.startswith(url):
                return _answer_of_file(os.path.join(folder, path.removeprefix(url)), path)
        return None


def _answer_of_file(file, path):
    if path.endswith("/"):
        return Answer(200 if os.path.isfile(os.path.join(file, "index.html")) else 403)
    if os.path.isdir(file):
        return Answer(301, [("location", f"{path}/")])
    return Answer(200 if os.path.isfile(file) else 404)


class Container:
    """Asks a container that isn't live yet, as Nginx will once it is."""

    def __init__(self, edge, port, protocol="http"):
        self.edge, self.port, self.protocol = edge, port, protocol

    def ask(self, url, cookie):
        parts = urlsplit(url)
        target = _target(parts)
        if redirect := self.edge.redirect(url):
            return Answer(301, [("location", redirect.replace("$host", parts.netloc) + target)])
        return self.edge.file(parts.path) or self._application(self.edge.scheme(url), parts.netloc, target, cookie)

    def _application(self, scheme, host, target, cookie):
        headers = {
            "X-Forwarded-Proto": scheme, "X-Forwarded-For": LOOPBACK, "X-Real-IP": LOOPBACK, "Cookie": cookie,
        }  # fmt: skip
        if self.protocol == "uwsgi":
            import uwsgi

            packet = uwsgi.request(host, target, scheme, headers)
        else:
            packet = request(host, target, headers)
        return _asked(LOOPBACK, self.port, packet)


class Nginx:
    """Asks Nginx on this machine. Whether a browser would accept the certificate isn't this check's question."""

    def __init__(self, edge):
        self.edge = edge

    def ask(self, url, cookie):
        parts, scheme = urlsplit(url), self.edge.scheme(url)
        packet = request(parts.netloc, _target(parts), {"Cookie": cookie})
        return _asked(LOOPBACK, PORTS[scheme], packet, scheme, parts.netloc)


def _target(parts):
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _asked(address, port, packet, scheme="http", name="", seconds=SECONDS):
    try:
        with socket.create_connection((address, port), seconds) as plain:
            if scheme == "http":
                return Answer.read(exchange(plain, packet))
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return Answer.read(exchange(secure, packet))
    except OSError:
        return Answer()


def destination(url, location):
    """The address that a redirect leads to, as a browser reads it. Raises ValueError if it isn't one."""
    text = location.encode("latin-1").decode("utf-8", "surrogateescape").strip()
    before, mark, after = text.partition("?")
    parts = urlsplit(urljoin(url, before.replace("\\", "/") + mark + after))
    if parts.scheme not in PORTS:
        return text
    host = (parts.hostname or "").rstrip(".").encode("idna").decode()
    if not host:
        raise ValueError(location)
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port not in {None, PORTS[parts.scheme]} else ""
    path, query = (quote(part, string.punctuation, errors="surrogateescape") for part in (parts.path, parts.query))
    return f"{parts.scheme}://{host}{port}{path or '/'}{'?' * bool(query)}{query}"


class Cookies:
    """What a browser would have kept of the answers' cookies: some sites redirect until they get theirs back."""

    def __init__(self):
        self.kept = {}  # name, domain, whether also for names below it -> value, whether by HTTPS alone

    def take(self, url, answer):
        parts = urlsplit(url)
        for line in answer.all("set-cookie"):
            pair, *rest = line.split(";")
            name, _, value = pair.strip().partition("=")
            given = {key.strip().lower(): text.strip() for key, _, text in (each.partition("=") for each in rest)}
            domain = given.get("domain", "").lstrip(".").lower()
            key = (name, domain or parts.hostname, bool(domain))
            if _is_over(given):
                self.kept.pop(key, None)
            elif _fits(parts.hostname, *key[1:]) and ("secure" not in given or parts.scheme == "https"):
                self.kept[key] = (value, "secure" in given)

    def header(self, url):
        parts = urlsplit(url)
        return "; ".join(
            f"{name}={value}"
            for (name, domain, below), (value, secure) in self.kept.items()
            if _fits(parts.hostname, domain, below) and (not secure or parts.scheme == "https")
        )


def _is_over(given):
    """Whether a cookie is taken back: by its age, or by a date as old as those that frameworks write for this."""
    age, date = given.get("max-age", ""), given.get("expires", "")
    return bool(re.fullmatch(r"0+|-\d+", age)) or (not age and bool(re.search(r"\b(19\d\d|200\d)\b", date)))


def _fits(host, domain, below):
    return host == domain or (below and host.endswith(f".{domain}"))


class Visit:
    """Where a visitor was led. ``fault`` says in whole sentences why the site isn't healthy, or is empty;
    ``elsewhere`` is another site that a healthy one redirects to."""

    def __init__(self, url):
        self.first = self.url = url
        self.way = []  # (address, what came of it)
        self.fault = self.elsewhere = self.cookie = ""
        self.answer = Answer()

    @property
    def settled(self):
        """Whether another request would probably end the same way."""
        return self.answer.status not in PASSING

    @property
    def lines(self):
        """The redirects, if there are any: a line for each address."""
        ways = [f"  {_shown(url)}  {what}".rstrip() for url, what in self.way]
        return ["Redirects:", *ways] if len(ways) > 1 else []

    def request(self, edge):
        """The last request as JSON, for cause.py."""
        return json.dumps({"url": self.url, "scheme": edge.scheme(self.url), "cookie": self.cookie})

    @property
    def place(self):
        """The last address, as short as it's clear."""
        first, parts = urlsplit(self.first), urlsplit(self.url)
        own = (first.scheme, first.netloc) == (parts.scheme, parts.netloc)
        return _shown(_target(parts) if own else self.url)


def visit(url, edge, asker):
    """Follow the redirects from a URL to where they end."""
    made, cookies, seen = Visit(url), Cookies(), set()
    while _go(made, cookies, seen, edge, asker):
        pass
    return made


def _go(made, cookies, seen, edge, asker):
    """Ask for one address. Returns whether the visit goes on at another."""
    made.cookie = cookies.header(made.url)
    if (made.url, made.cookie) in seen:
        made.way.append((made.url, "again"))
        made.fault = f"it redirects in a loop.{_loop_hint(made, edge)}"
        return False
    if len(seen) > MOST:
        made.way.append((made.url, "not asked"))
        made.fault = f"it redirects more than {MOST} times."
        return False
    seen.add((made.url, made.cookie))
    made.answer = asker.ask(made.url, made.cookie)
    by = ", by Nginx" if edge.redirect(made.url) else ""
    made.way.append((made.url, f"{made.answer.status or 'no answer'}{by}"))
    if not made.answer.location:
        made.fault = _fault_of_end(made)
        return False
    cookies.take(made.url, made.answer)
    return _follow(made, edge)


def _follow(made, edge):
    """Go to where the last answer redirects, if that is the site's."""
    try:
        url = destination(made.url, made.answer.location)
        parts = urlsplit(url)
        own = edge.find(parts.scheme, parts.netloc)
    except ValueError:
        made.fault = f"it redirects {made.place} to {made.answer.location!r}, which isn't an address."
        return False
    if own:
        made.url = url
        return True
    made.way.append((url, ""))
    if _is_another_site(parts, edge, urlsplit(made.first).hostname):
        made.elsewhere = url
    else:
        made.fault = f"it redirects {made.place} to {_shown(url)}, {_why_not_served(parts, edge)}"
    return False


def _shown(url):
    """A URL for people; a very long one is cut between its parts."""
    return url if len(url) <= 300 else re.sub(r"[^/?&]*\Z", "", url[:300]) + "…"


def _fault_of_end(made):
    status = made.answer.status
    if 0 < status < 400:
        return ""
    what = f"it answers {status} at {made.place}" if status else f"it doesn't answer at {made.place}"
    led = f", to which DEPLOY_HEALTH_PATH={_target(urlsplit(made.first))} redirects" if len(made.way) > 1 else ""
    if not 400 <= status < 500:
        return f"{what}{led}."
    return f"{what}{led or ' (DEPLOY_HEALTH_PATH)'}. {_client_hint(status, urlsplit(made.url).netloc)}"


def _client_hint(status, host):
    if status == 400:
        return f"Is {host} in ALLOWED_HOSTS? Django answers 400 if it isn't."
    if status in {401, 403}:
        return "Set DEPLOY_HEALTH_PATH to a page that needs no login."
    if status in {404, 410}:
        return "Set DEPLOY_HEALTH_PATH to a page that exists."
    return "Set DEPLOY_HEALTH_PATH to a page that anyone can open."


def _loop_hint(made, edge):
    """Return the likely cause of a redirect loop."""
    urls = [url for url, _ in made.way]
    loop = urls[urls.index(urls[-1]) : -1]
    moved = [urlsplit(url).netloc for url in loop if "$host" not in (edge.redirect(url) or "$host")]
    if moved:
        return (
            f" The application redirects to {moved[0]}, and Nginx redirects {moved[0]} back (DEPLOY_REDIRECT_DOMAINS). "
            f"Put {moved[0]} first in DEPLOY_DOMAINS, or change the application's redirect (PREPEND_WWW)."
        )
    secure = made.answer.location.startswith("https://") and len(loop) == 1
    if secure or any(edge.redirect(url) for url in loop):
        return (
            " Does the application know when a visitor comes by HTTPS? Django needs "
            'SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https").'
        )
    return ""


def _why_not_served(parts, edge):
    if parts.scheme == "https" and edge.find("http", parts.netloc):
        return (
            f"and there is no HTTPS for {parts.netloc} yet: is SECURE_SSL_REDIRECT on? "
            "fab certs switches HTTPS on, before a first deploy too."
        )
    if edge.find("http", parts.hostname):
        return f"but the site isn't served on port {parts.port}."
    return f"but {parts.hostname} isn't served: is it missing in DEPLOY_DOMAINS or DEPLOY_REDIRECT_DOMAINS?"


def _is_another_site(parts, edge, canonical):
    """Whether a visitor arrives somewhere at an address that isn't the site's. Of an unrelated name that is assumed,
    as single sign-on needs it. A related one, such as www., may be missing in the settings: a site must answer."""
    host = parts.hostname
    if parts.scheme not in PORTS:
        return True
    if _is_loopback(host, canonical) or (edge.find("http", host) and not parts.port):
        return False
    if not _is_address(host) and not edge.is_related(host):
        return True
    return _answers(parts)


def _is_loopback(host, canonical):
    """Whether a name leads every visitor to a machine of their own. Sites that are tried out may have such names."""
    tried_out = host != "localhost" and canonical.endswith(".localhost")
    return bool(re.fullmatch(r"(.+\.)?localhost|127\..*|0\.0\.0\.0|::1?", host)) and not tried_out


def _is_address(host):
    return bool(re.fullmatch(r"[0-9.]+|.*:.*", host))


@functools.cache
def _answers(parts):
    """Whether a site answers at an address: where DNS leads it, or Nginx here. 400 is the answer to an unknown name."""
    port = parts.port or PORTS[parts.scheme]
    found = addresses(parts.hostname) | (set() if parts.port else {LOOPBACK})
    packet = request(parts.netloc, "/", {})
    answers = (_asked(address, port, packet, parts.scheme, parts.hostname, 5) for address in sorted(found))
    return any(0 < answer.status < 500 and answer.status != 400 for answer in answers)


def addresses(host):
    """The addresses of a name, as this server's DNS has them."""
    try:
        return {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()


def main(nginx, url, failed):
    edge = Edge.load(nginx)
    made = visit(url, edge, Nginx(edge))
    if made.answer.status >= 500:
        with open(failed, "w", encoding="utf-8") as stream:
            stream.write(made.request(edge))
    if made.fault:
        print(*made.lines, f"Through Nginx {made.fault}", sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
