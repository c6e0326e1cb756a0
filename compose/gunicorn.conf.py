"""Gunicorn's settings for every site, read inside the container. An older Gunicorn ignores names that it doesn't
know."""

import contextlib
import gc
import hmac
import importlib
import logging
import os
import sys

# Nginx uses the socket. The health check and people use the port, which is published on the host's loopback only.
bind = ["unix:" + os.environ["PORTSIDE_SOCKET"], "0.0.0.0:8000"]
protocol = os.environ["PORTSIDE_PROTOCOL"]
umask = 0o117  # only the application and Nginx may use the socket
chdir = os.environ.get("PORTSIDE_FOLDER", ".")

worker_class = os.environ["PORTSIDE_WORKER_CLASS"]
workers = int(os.environ["PORTSIDE_WORKERS"])
threads = int(os.environ["PORTSIDE_THREADS"])
worker_tmp_dir = "/dev/shm"  # a heartbeat on a disk can block

timeout = 30
graceful_timeout = 30
keepalive = 75
backlog = 1024
# Off: each worker loads the application itself. Otherwise all workers would share what it opens while it loads (a
# connection, a pool, a thread), and one visitor's response could be sent to another.
preload_app = os.environ.get("PORTSIDE_PRELOAD") == "on"

limit_request_line = 8190  # the same as Nginx's limit
forwarded_allow_ips = "*"  # only for X-Forwarded-Proto: the code below decides about addresses
uwsgi_allow_ips = "*"
control_socket_disable = True  # the file system is read-only

accesslog = None  # Nginx writes one
errorlog = "-"
capture_output = False
proc_name = os.environ["PORTSIDE_PROJECT"]


# Parts of Django that every worker needs, imported once before the fork: workers share their memory and start faster.
# They don't include the application or its settings, open nothing and start no thread.
LIBRARIES = ("django.core.wsgi", "django.core.asgi", "django.db.backends.postgresql.base")
# Other workers, such as gevent's, may have to patch Python before anything is imported.
plain = worker_class in {"sync", "gthread", "asgi"} or "uvicorn" in worker_class


def on_starting(server):
    """Import modules that workers can share, and freeze them: the garbage collector would touch and so copy them."""
    if plain and not preload_app:
        for name in LIBRARIES:
            with contextlib.suppress(Exception):  # the application itself reports missing modules
                importlib.import_module(name)
    gc.collect()
    gc.freeze()
    sys.excepthook = without_its_own_traceback


def without_its_own_traceback(kind, error, traceback):
    """Print one line for Gunicorn's own exit. Workers that can't load the application print why; a second traceback
    would hide theirs."""
    if kind.__name__ == "HaltServer":
        print(f"Gunicorn ends: {error.reason}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def pre_fork(server, worker):
    """Close connections that the preloaded application has opened, so that no two workers share one.

    Threads that it started don't exist in the workers, because a fork doesn't copy them.
    """
    if not preload_app:
        return
    if database := sys.modules.get("django.db"):
        database.connections.close_all()
        for connection in database.connections.all():
            if hasattr(connection, "close_pool"):  # Django 5.1 and newer, PostgreSQL and Oracle
                connection.close_pool()
    if cache := sys.modules.get("django.core.cache"):
        cache.caches.close_all()


def post_worker_init(worker):
    """Wrap the loaded application so that it gets the visitor's address, and log its errors."""
    if hasattr(worker, "asgi"):  # Gunicorn's own ASGI worker
        worker.asgi = asgi_behind_nginx(worker.asgi)
    elif hasattr(worker, "config"):  # uvicorn's, which would trust any X-Forwarded-For
        worker.config.proxy_headers = False
        worker.wsgi = asgi_behind_nginx(worker.wsgi)
    else:
        worker.wsgi = wsgi_behind_nginx(worker.wsgi)
    log_errors(worker.log)


# The visitor's address: REMOTE_ADDR, or the scope's "client". Gunicorn itself sets none for a socket, and the address
# of
# Docker's gateway for the port. It has no setting to take the address from a header.
#
# Nginx sends the address and overwrites headers of visitors. Only Nginx can reach the socket, but any program on the
# server can reach the port. So a request to the port must have the site's proof, which Nginx sends if it uses the port
# (DEPLOY_UPSTREAM). Without it, the address of the connection counts, and headers with other addresses are removed.

ALIVE = "/_portside/alive"  # healthy.py requests it to check that a worker answers
PROOF = os.environ.get("PORTSIDE_PROOF", "").encode()
PROOF_HEADER = "X-PORTSIDE-PROOF"
CLAIMS = {
    "FORWARDED", "PROXY", "TRUE-CLIENT-IP", "X-CLIENT-IP", "X-CLUSTER-CLIENT-IP", "X-FORWARDED", "X-FORWARDED-BY",
    "X-FORWARDED-FOR", "X-FORWARDED-HOST", "X-FORWARDED-PORT", "X-FORWARDED-PREFIX", "X-FORWARDED-PROTOCOL",
    "X-FORWARDED-SCHEME", "X-FORWARDED-SERVER", "X-FORWARDED-SSL", "X-ORIGINAL-URL", "X-REAL-IP", "X-REWRITE-URL",
}  # fmt: skip


def proved(given):
    """Return whether this is the site's proof."""
    return bool(PROOF) and hmac.compare_digest(given, PROOF)


def nearest(forwarded):
    """Return the address that Nginx itself added to X-Forwarded-For: the last one."""
    return forwarded.rpartition(",")[2].strip()


def wsgi_behind_nginx(application):
    """Wrap a WSGI application so that it gets the visitor's address."""
    claims = ["HTTP_" + name.replace("-", "_") for name in CLAIMS]
    proof_name = "HTTP_" + PROOF_HEADER.replace("-", "_")

    def behind_nginx(environ, start_response):
        if environ.get("PATH_INFO") == ALIVE:
            start_response("204 No Content", [])
            return []
        proof = environ.pop(proof_name, "").encode("latin-1")
        # A socket's peer has no address; Tornado's worker sets 0.0.0.0.
        by_socket = environ.get("REMOTE_ADDR", "") in ("", "0.0.0.0")  # noqa: S104 - not bound to
        if by_socket or proved(proof):
            environ["REMOTE_ADDR"] = nearest(environ.get("HTTP_X_FORWARDED_FOR", ""))
            environ.pop("REMOTE_PORT", None)  # Docker's, not the visitor's
        else:
            for name in claims:
                environ.pop(name, None)
        return application(environ, start_response)

    return behind_nginx


def asgi_behind_nginx(application):
    """Wrap an ASGI application so that it gets the visitor's address."""

    async def behind_nginx(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == ALIVE:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["type"] in ("http", "websocket"):
            apply_headers(scope)
        await application(scope, receive, send)

    return behind_nginx


def apply_headers(scope):
    """Set an ASGI request's client, scheme and headers from Nginx's headers, or from its connection."""
    named = [(name.decode("latin-1").upper().replace("_", "-"), (name, value)) for name, value in scope["headers"]]
    words = {name: value for name, (_, value) in named}
    # For a port, "server" is an address and a number, even if the client has disconnected already.
    by_socket = not (scope.get("server") and isinstance(scope["server"][1], int))
    if by_socket or proved(words.get(PROOF_HEADER, b"")):
        address = nearest(words.get("X-FORWARDED-FOR", b"").decode("latin-1"))
        scope["client"] = (address, 0) if address else None
        hidden = {PROOF_HEADER}
    else:
        hidden = CLAIMS | {PROOF_HEADER}
    scope["headers"] = [pair for name, pair in named if name not in hidden]
    scheme = words.get("X-FORWARDED-PROTO", b"").decode("latin-1")
    if scheme in ("http", "https"):
        scope["scheme"] = scheme if scope["type"] == "http" else scheme.replace("http", "ws")


# With DEBUG off Django doesn't log errors 500: its own handlers are for DEBUG and for mails to ADMINS.


def log_errors(log):
    """Write errors of Django's requests with their traceback to Gunicorn's log, unless the project's LOGGING does
    so."""
    django = sys.modules.get("django.conf")
    if django is None or not django.settings.configured or logs_requests(django.settings):
        return
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter(log.error_fmt, log.datefmt))
    logger = logging.getLogger("django.request")
    if logger.disabled:  # because LOGGING doesn't name it: it still mustn't reach the project's own handlers
        logger.disabled, logger.propagate = False, False
    logger.addHandler(handler)


def logs_requests(settings):
    """Return whether the project's own settings handle django.request's errors."""
    if "django.request" in (settings.LOGGING or {}).get("loggers", {}):
        return True
    logger = logging.getLogger("django.request")
    while logger and not logger.disabled:
        if any(writes(handler, settings) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def writes(handler, settings):
    """Return whether a handler writes errors of requests. Django's own console handler does so only with DEBUG."""
    django = sys.modules["django.utils.log"]
    idle = not settings.DEBUG and any(isinstance(each, django.RequireDebugTrue) for each in handler.filters)
    return handler.level <= logging.ERROR and not idle and not isinstance(handler, django.AdminEmailHandler)
