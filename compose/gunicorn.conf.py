"""Gunicorn's settings for every site, read inside the container. Names an older Gunicorn lacks are passed over."""

import contextlib
import gc
import hmac
import importlib
import logging
import os
import sys

# Nginx uses the socket, the gate and people the port, which is published on the host's loopback only.
bind = ["unix:" + os.environ["PORTSIDE_SOCKET"], "0.0.0.0:8000"]
protocol = os.environ["PORTSIDE_PROTOCOL"]
umask = 0o117  # the socket is the application's and Nginx's, nobody else's
chdir = os.environ.get("PORTSIDE_FOLDER", ".")

worker_class = os.environ["PORTSIDE_WORKER_CLASS"]
workers = int(os.environ["PORTSIDE_WORKERS"])
threads = int(os.environ["PORTSIDE_THREADS"])
worker_tmp_dir = "/dev/shm"  # a heartbeat on a disk can block

timeout = 30
graceful_timeout = 30
keepalive = 75
backlog = 1024
# Off: each worker loads the application itself. What it opens while it loads (a connection, a pool, a thread) would
# otherwise be shared by all workers, and one visitor's answer be sent to another.
preload_app = os.environ.get("PORTSIDE_PRELOAD") == "on"

limit_request_line = 8190  # what Nginx lets through
forwarded_allow_ips = "*"  # of X-Forwarded-Proto alone: an address is believed by the rules below
uwsgi_allow_ips = "*"
control_socket_disable = True  # the file system is read-only

accesslog = None  # Nginx writes one
errorlog = "-"
capture_output = False
proc_name = os.environ["PORTSIDE_PROJECT"]


# Of Django itself what every worker needs, imported once before they are forked: they share its memory, and start
# sooner. Nothing of the application is among it, nor its settings: it opens nothing and starts no thread.
LIBRARIES = ("django.core.wsgi", "django.core.asgi", "django.db.backends.postgresql.base")
# Other kinds of workers may want to patch Python before anything is imported: gevent's do.
plain = worker_class in {"sync", "gthread", "asgi"} or "uvicorn" in worker_class


def on_starting(server):
    """Import what workers can share, and keep the garbage collector from touching it, which would copy it."""
    if plain and not preload_app:
        for name in LIBRARIES:
            with contextlib.suppress(Exception):  # whatever the application needs and lacks, it reports itself
                importlib.import_module(name)
    gc.collect()
    gc.freeze()
    sys.excepthook = without_its_own_traceback


def without_its_own_traceback(kind, error, traceback):
    """Workers that can't load the application say why, and end Gunicorn. Its own traceback would hide theirs."""
    if kind.__name__ == "HaltServer":
        print(f"Gunicorn ends: {error.reason}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def pre_fork(server, worker):
    """Close what the application opened while it was preloaded, so that no two workers share a connection.

    Threads that it started don't exist in the workers: Python can't take them along.
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
    """The application is loaded: put what knows the visitor's address in front of it, and have its errors logged."""
    if hasattr(worker, "asgi"):  # Gunicorn's own ASGI worker
        worker.asgi = asgi_behind_nginx(worker.asgi)
    elif hasattr(worker, "config"):  # uvicorn's, which would believe anybody's X-Forwarded-For
        worker.config.proxy_headers = False
        worker.wsgi = asgi_behind_nginx(worker.wsgi)
    else:
        worker.wsgi = wsgi_behind_nginx(worker.wsgi)
    log_errors(worker.log)


# The visitor's address: REMOTE_ADDR, or the scope's "client". Gunicorn itself has none for a socket and Docker's
# gateway for the port, and no setting that takes it from a header.
#
# Nginx sends it, and overwrites what visitors claim. Only Nginx reaches the socket. Anything on the server reaches the
# port: there a request must carry the site's proof, which Nginx sends if it uses the port (DEPLOY_UPSTREAM). Without
# it a request keeps the address of its connection, and loses all that it claims of another one.

ALIVE = "/_portside/alive"  # healthy.py asks for it: that a worker answers is all that it wants to know
PROOF = os.environ.get("PORTSIDE_PROOF", "").encode()
PROOF_HEADER = "X-PORTSIDE-PROOF"
CLAIMS = {
    "FORWARDED", "PROXY", "TRUE-CLIENT-IP", "X-CLIENT-IP", "X-CLUSTER-CLIENT-IP", "X-FORWARDED", "X-FORWARDED-BY",
    "X-FORWARDED-FOR", "X-FORWARDED-HOST", "X-FORWARDED-PORT", "X-FORWARDED-PREFIX", "X-FORWARDED-PROTOCOL",
    "X-FORWARDED-SCHEME", "X-FORWARDED-SERVER", "X-FORWARDED-SSL", "X-ORIGINAL-URL", "X-REAL-IP", "X-REWRITE-URL",
}  # fmt: skip


def proved(told):
    """Whether this is the site's proof."""
    return bool(PROOF) and hmac.compare_digest(told, PROOF)


def nearest(forwarded):
    """The address that Nginx itself put into X-Forwarded-For: the last one, if it keeps others before it."""
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
        # Of a socket's other end there is no address; Tornado's worker writes 0.0.0.0.
        by_socket = environ.get("REMOTE_ADDR", "") in ("", "0.0.0.0")  # noqa: S104 - nothing is bound
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
            tell(scope)
        await application(scope, receive, send)

    return behind_nginx


def tell(scope):
    """Make an ASGI request's client, scheme and headers what Nginx says, or its sender's own."""
    named = [(name.decode("latin-1").upper().replace("_", "-"), (name, value)) for name, value in scope["headers"]]
    words = {name: value for name, (_, value) in named}
    # The server of a port is its address and a number, also when the other end is gone already.
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


# With DEBUG off Django logs a visitor's error 500 nowhere: its own handlers are for DEBUG, and for mails to ADMINS.


def log_errors(log):
    """Write errors of Django's requests, with their traceback, to Gunicorn's log, unless the project's LOGGING does."""
    django = sys.modules.get("django.conf")
    if django is None or not django.settings.configured or logs_requests(django.settings):
        return
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter(log.error_fmt, log.datefmt))
    logger = logging.getLogger("django.request")
    if logger.disabled:  # as loggers are that a LOGGING doesn't name: the project's own handlers still hear nothing
        logger.disabled, logger.propagate = False, False
    logger.addHandler(handler)


def logs_requests(settings):
    """Whether the project says itself what becomes of django.request's errors."""
    if "django.request" in (settings.LOGGING or {}).get("loggers", {}):
        return True
    logger = logging.getLogger("django.request")
    while logger and not logger.disabled:
        if any(writes(handler, settings) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def writes(handler, settings):
    """Whether a handler writes errors of visitors' requests: Django's own for the console does with DEBUG alone."""
    django = sys.modules["django.utils.log"]
    idle = not settings.DEBUG and any(isinstance(each, django.RequireDebugTrue) for each in handler.filters)
    return handler.level <= logging.ERROR and not idle and not isinstance(handler, django.AdminEmailHandler)
