"""The effective settings of a project on the server, and why it doesn't start. Runs inside an application's image,
imported by ask.py before Django has started: a wrong setting may prevent the start.

It only reports; ``deploy/releases/django.py`` judges.
"""

import ast
import errno
import hashlib
import importlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
import time
from glob import glob

MARK = "portside-answer:"
SECONDS = 6  # time limit for a connection to a database
SILENT = f"nothing answers there within {SECONDS} s"
VENDORS = {"sqlite": "sqlite", "spatialite": "sqlite", "postg": "postgresql", "psql": "postgresql", "mysql": "mysql"}
VENDORS.update({"mariadb": "mysql", "oracle": "oracle", "dummy": "none"})
PORTS = {"postgresql": "5432", "mysql": "3306", "oracle": "1521"}
REPORTED = ("DATABASES", "DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "WSGI_APPLICATION")
PRODUCTION = re.compile(r"(^|_)(prod|production|live|deploy|deployment|server)(_|$)")
PRINT_KEY = (
    "import hashlib\nfrom django.conf import settings\n"
    "print('\\nportside-key:' + hashlib.sha256(str(settings.SECRET_KEY).encode()).hexdigest())"
)
VARIABLE = (
    r"Set the (\w+) environment variable",  # django-environ
    r"(\w+) not found\. Declare it as envvar",  # python-decouple
    r'Environment variable "?(\w+)"? (?:not set|is not set)',  # environs and others
)


def name_settings():
    """Set DJANGO_SETTINGS_MODULE as manage.py does, unless the environment has it."""
    with open("manage.py", encoding="utf-8") as file:
        found = re.search(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""", file.read())
    if found:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", found.group(1))


def settings_report(settings, folder):
    """Return what the settings alone show."""
    header = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
    middleware = getattr(settings, "MIDDLEWARE", None) or []
    return {
        "databases": {alias: database(config) for alias, config in settings.DATABASES.items()},
        "debug": bool(settings.DEBUG),
        "key": secret_key(str(settings.SECRET_KEY)),
        "allowed_hosts": [str(host) for host in settings.ALLOWED_HOSTS],
        "csrf_origins": [str(origin) for origin in getattr(settings, "CSRF_TRUSTED_ORIGINS", None) or []],
        "csrf_checked": any(str(name).endswith("CsrfViewMiddleware") for name in middleware),
        "knows_https": bool(header) and tuple(header) == ("HTTP_X_FORWARDED_PROTO", "https"),
        "places": {name: place(name, settings, folder) for name in REPORTED},
        "beside": beside(settings.SETTINGS_MODULE),
    }


# Databases


def database(config):
    """Return engine and kind of a database, and where it is, as its driver would resolve it."""
    engine = config.get("ENGINE") or "django.db.backends.dummy"
    kind, options = vendor(engine), config.get("OPTIONS") or {}
    found = {"engine": engine, "vendor": kind, "host": "", "port": "", "name": str(config.get("NAME") or "")}
    if kind == "sqlite":
        return dict(found, file=file_state(found["name"]))
    libpq = os.environ if kind == "postgresql" else {}
    found["host"] = str(config.get("HOST") or options.get("host") or libpq.get("PGHOST") or "")
    found["port"] = str(config.get("PORT") or options.get("port") or libpq.get("PGPORT") or PORTS.get(kind, ""))
    found["name"] = str(found["name"] or options.get("dbname") or libpq.get("PGDATABASE") or "")
    service = bool(options.get("service") or libpq.get("PGSERVICE")) and not found["host"]
    return dict(found, elsewhere=service, ours=kind == "postgresql" and same_place(found["host"], found["port"]))


def vendor(engine):
    """Return the kind of database an engine is for. Django's own engines are known without their driver."""
    if not engine.startswith("django."):
        try:
            return importlib.import_module(engine + ".base").DatabaseWrapper.vendor
        except Exception:  # noqa: S110 - guess by its name; Django imports it again at its start
            pass
    return next((kind for word, kind in VENDORS.items() if word in engine.lower()), "")


def same_place(host, port):
    """Return whether this is Portside's own database, under any name."""
    return port == "5432" and (host == "db" or bool(addresses(host) & addresses("db")))


def addresses(host):
    if not host or host.startswith("/"):
        return set()
    try:
        return {found[4][0] for found in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return set()


def file_state(name):
    """Return the state of an SQLite file: lasting, passing (gone with the container), read-only, or absent."""
    path = os.path.abspath(name.split("?")[0][len("file:") :] if name.startswith("file:") else name)
    if not name or ":memory:" in name or "mode=memory" in name or path.startswith(("/tmp/", "/dev/")):
        return "passing"
    if os.access(os.path.dirname(path), os.W_OK) and (not os.path.exists(path) or os.access(path, os.W_OK)):
        return "lasting"
    return "read-only" if os.access(path, os.R_OK) else "absent"


def be_brief(settings):
    """Shorten connection timeouts, and remove pools: this process needs none."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(SECONDS))
    for config in settings.DATABASES.values():
        options = config.get("OPTIONS")
        if isinstance(options, dict) and "pool" in options:
            config["OPTIONS"] = options = {name: value for name, value in options.items() if name != "pool"}
        if vendor(config.get("ENGINE") or "") in ("postgresql", "mysql"):
            given = (options or {}).get("connect_timeout")
            if given is None or not str(given).isdigit() or int(given) > SECONDS:
                config["OPTIONS"] = dict(options or {}, connect_timeout=SECONDS)


def unreachable(databases):
    """Return the databases that accept no connection: alias -> why. Tries all at once."""
    found = {}
    tries = [
        threading.Thread(target=_try, args=(alias, each["host"], each["port"], found), daemon=True)
        for alias, each in databases.items()
        if each["host"] and not each["host"].startswith("/") and each["port"].isdigit()
    ]
    for each in tries:
        each.start()
    limit = time.monotonic() + SECONDS + 1
    for each in tries:
        each.join(max(0, limit - time.monotonic()))
    return {alias: why for alias, why in found.items() if why}


def _try(alias, hosts, port, found):
    found[alias] = SILENT
    for host in hosts.split(","):
        found[alias] = _refusal(host, int(port))
        if not found[alias]:
            return


def _refusal(host, port):
    try:
        many = len(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        socket.create_connection((host, port), SECONDS / many).close()
    except (socket.gaierror, UnicodeError):
        return f"the name {host} doesn't exist in DNS"
    except socket.timeout:  # noqa: UP041 - for Python 3.9
        return SILENT
    except OSError as error:
        return "nothing listens there" if error.errno == errno.ECONNREFUSED else (error.strerror or str(error)).lower()
    return ""


# Where a setting is assigned


def place(name, settings, folder):
    """Return the file and line that assign a setting, found in the sources of the loaded modules; else the settings
    file."""
    module = sys.modules.get(settings.SETTINGS_MODULE)
    own = getattr(module, "__file__", None) or ""
    files = [own, *sorted(_with(name, getattr(module, name, None), folder) - {own})]
    for path in files:
        lines = [number for number, line in enumerate(_source(path), 1) if re.match(_assigns(name), line)]
        if lines:
            return f"{_short(path, folder)}, line {lines[-1]}"
    return _short(own, folder)


def _assigns(name):
    return rf"\s*{name}\b\s*(\[[^\]]*\]\s*)*(:[^=]*)?[+|]?=(?!=)"


def _with(name, value, folder):
    """Return the files of the project's modules in which it has this value."""
    modules = [each for each in list(sys.modules.values()) if name in getattr(each, "__dict__", {})]
    files = {getattr(each, "__file__", None) or "" for each in modules if each.__dict__[name] is value}
    return {path for path in files if path.startswith(folder + os.sep) and "site-packages" not in path}


def _source(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _short(path, folder):
    return os.path.relpath(path, folder) if path.startswith(folder + os.sep) else path


def beside(module):
    """Return the settings modules for production beside this one. Empty if this one is for production."""
    package, _, name = module.rpartition(".")
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    if os.path.basename(file) == "__init__.py":
        package, name = module, ""
    if PRODUCTION.search(name):
        return []
    stems = sorted(os.path.splitext(os.path.basename(path))[0] for path in glob(os.path.dirname(file) + "/*.py"))
    return [(package + "." if package else "") + stem for stem in stems if PRODUCTION.search(stem) and stem != name]


def secret_key(key):
    """Return where the key is from: environment, random (another start has another one) or fixed."""
    if any(key.strip() == value.strip() for value in os.environ.values()):
        return "environment"
    done = subprocess.run(
        (sys.executable, "-c", PRINT_KEY),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    other = re.findall("^portside-key:(.*)$", done.stdout, re.MULTILINE)
    mine = hashlib.sha256(key.encode()).hexdigest()
    return "random" if other and other[-1] != mine else "fixed"


# Applications


def application(named, module, urls, kind):
    """Return ``package.wsgi.application``: the named one, or the one in the usual place. Empty if it doesn't exist."""
    if named:
        return named if offers(*named.rpartition(".")[::2]) else ""
    parts = module.split(".")
    packages = [parts[0]] + [".".join(parts[:count]) for count in range(len(parts) - 1, 1, -1)]
    packages = packages if len(parts) > 1 else []
    packages += [urls.rpartition(".")[0]] if urls and "." in urls else []
    places = [*(f"{package}.{kind}" for package in packages), kind]
    return next((f"{name}.application" for name in dict.fromkeys(places) if offers(name, "application")), "")


def offers(module, name):
    """Return whether a module exists and defines a name, without importing the module itself."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return False
    if spec is None:
        return False
    origin = spec.origin or ""
    try:
        tree = ast.parse("\n".join(_source(origin))) if origin.endswith(".py") else None
    except SyntaxError:  # reported with its line when it is imported
        return True
    # A module that raises reports the reason itself when it is imported.
    return tree is None or _makes(tree, name) or any(isinstance(node, ast.Raise) for node in tree.body)


def _makes(tree, name):
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name:
            return True
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
            return True
        if isinstance(node, (ast.Import, ast.ImportFrom)) and any(
            each.name == "*" or (each.asname or each.name) == name for each in node.names
        ):
            return True
    return False


# Why it doesn't start


def cause(error, folder):
    """Return what an exception comes from: its kind, its subject, its own words, and where in the project it was."""
    chain = list(_chain(error))
    kind, about = _known(chain)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return {"kind": kind, "about": about, "text": text[:2000], "where": _where(error, folder), "closed": closed()}


def _chain(error):
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def _known(chain):
    for find in (_of_library, _of_driver, _of_module, _of_file, _of_variable, _of_database):
        for error in chain:
            found = find(error)
            if found:
                return found
    return "other", ""


def _of_library(error):
    if not isinstance(error, ImportError):
        return None
    if "libpq" in str(error) or "no pq wrapper" in str(error):
        return "libpq", ""
    found = re.search(r"(\S+\.so[.\d]*): cannot open shared object file", str(error))
    return ("library", found.group(1)) if found else None


def _of_driver(error):
    found = re.search(r"Error loading (psycopg2?|MySQLdb|oracledb|cx_Oracle)\b", str(error))
    return (
        ("driver", {"psycopg2": "psycopg", "MySQLdb": "mysqlclient"}.get(found.group(1), found.group(1)))
        if found
        else None
    )


def _of_module(error):
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    wanted = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if wanted == error.name or wanted.startswith(error.name + "."):
        return "settings", wanted
    return ("django" if error.name == "django" else "module"), error.name


def _of_file(error):
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return "read-only", str(error.filename or "")
    if isinstance(error, PermissionError):
        return "forbidden", str(error.filename or "")
    return None


def _of_variable(error):
    if isinstance(error, KeyError) and error.args and _asked_environment(error):
        return "variable", str(error.args[0])
    found = next(filter(None, (re.search(pattern, str(error)) for pattern in VARIABLE)), None)
    return ("variable", found.group(1)) if found else None


def _asked_environment(error):
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == "os"


def _of_database(error):
    names = {f"{each.__module__}.{each.__name__}" for each in type(error).__mro__}
    return ("database", "") if names & {"django.db.utils.OperationalError", "django.db.utils.DatabaseError"} else None


def _where(error, folder):
    """Return the last line of the project's own code in the traceback."""
    trace, found = error.__traceback__, ""
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(folder + os.sep) and "site-packages" not in path:
            found = f"{_short(path, folder)}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found


def closed():
    """Return folders that may have packages but that the image's user can't read: from the environment, and homes."""
    named = os.environ.get("PATH", "").split(os.pathsep) + os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named += [os.environ.get("VIRTUAL_ENV", ""), os.environ.get("PYTHONUSERBASE", "")]
    return {
        "named": list(dict.fromkeys(path for path in named if path and _is_closed(path))),
        "homes": [
            path for path in ["/root", *sorted(glob("/home/*"))] if os.path.isdir(path) and not os.access(path, os.X_OK)
        ],
    }


def _is_closed(path):
    try:
        os.stat(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.X_OK | os.R_OK)
