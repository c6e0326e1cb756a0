"""The migrations of a release, and their effect on another release that doesn't know them. Imported by ask.py, inside
an application's image.

The module's name must not be an application's, since the same Python imports both. Runs on Django 4.2 and newer.
"""

import json
from contextlib import contextmanager

import portside_tables as about
from django.apps import apps
from django.core.management import get_commands
from django.db import connections, router
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.graph import NodeNotFoundError
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from portside_compatibility import Judge, called, label, note


def named(name, alias):
    """Return a migration's name for users: with the alias if it isn't of the default database."""
    return name if alias == "default" else f"{name} ({alias})"


# Databases


def aliases():
    """Return the databases that have migrations: the default one, and those that a router sends models to."""
    routed = [alias for alias in connections if alias != "default" and any(map(_goes_to(alias), _models()))]
    return [alias for alias in ("default", *routed) if alias in connections and not _absent(connections[alias])]


def _absent(connection):
    return connection.vendor == "unknown"


def _models():
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.can_migrate(_any())]


def _any():
    """Return any connection. Whether a model has a table depends on it only if its Meta requires a feature."""
    return next(iter(connections.all()))


def _goes_to(alias):
    """Return a function that says whether a router sends a model to this database only."""

    def goes(model):
        if not router.allow_migrate_model(alias, model):
            return False
        return router.db_for_write(model) == alias or not router.allow_migrate_model("default", model)

    return goes


def _apps_of(alias):
    """Return the apps that have tables in this database."""
    goes = (lambda model: True) if alias == "default" else _goes_to(alias)
    return {model._meta.app_label for model in _models() if goes(model)}


# What another release knows


class Known:
    """The migrations and the tables that another release knows.

    ``given``: what :func:`knowledge` returned in that release; or ``{"leaves": {app: name}}``, the last migration of
    each app, which is all that older versions of Portside recorded.
    """

    def __init__(self, given):
        self.leaves = given.get("leaves", {}) if "knows" not in given else {}
        self.own = {
            (app, name): [tuple(one.split(".", 1)) for one in replaced]
            for app, names in given.get("knows", {}).items()
            for name, replaced in names.items()
        }
        self.names = {name for own, replaced in self.own.items() for name in (own, *replaced)}
        self.tables = {alias: about.from_json(tables) for alias, tables in given.get("tables", {}).items()}

    @classmethod
    def read(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(json.load(file))

    def compared(self, loader):
        """Return itself, after adding what the last migrations of an older record stand for in this release's graph."""
        for node in self.leaves.items():
            self.own[node] = []
            self.names |= _up_to(node, loader)
        return self

    def hears(self, node, loader):
        """Return whether it knows a migration of this release, by its name or by the migrations that it replaces."""
        replaced = _replaced(node, loader)
        return node in self.names or (bool(replaced) and all(self.hears(one, loader) for one in replaced))

    def same(self, loader):
        """Return names of its own that this release has under others: those that a migration of both replaces, and
        those that replace this release's."""
        here = _heard_of(loader)
        theirs = {one for node, replaced in self.own.items() if node in here for one in replaced}
        return theirs | {node for node, replaced in self.own.items() if replaced and here >= {*replaced}}

    def strange(self, loader):
        """Return the apps with migrations that this release doesn't know. These can't be compared."""
        here = _heard_of(loader)
        return {
            node[0] for node, replaced in self.own.items() if not ({node} <= here or (replaced and here >= {*replaced}))
        }


def knowledge():
    """Return what this release knows, for :class:`Known` of another: each migration with those it replaces; its
    tables."""
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    replaced = {one for node in loader.disk_migrations for one in _replaced(node, loader)}
    knows = {}
    for node in sorted(loader.disk_migrations.keys() - replaced):
        knows.setdefault(node[0], {})[node[1]] = [".".join(one) for one in _all_replaced(node, loader)]
    return {"knows": knows, "tables": {alias: about.known(alias) for alias in aliases()}}


def _replaced(node, loader):
    migration = loader.disk_migrations.get(node)
    return [tuple(one) for one in migration.replaces] if migration else []


def _all_replaced(node, loader):
    """Return the replaced migrations, and those that these replace in turn."""
    return [each for one in _replaced(node, loader) for each in (one, *_all_replaced(one, loader))]


def _heard_of(loader):
    """Return all names in this release's code, and those that its migrations replace."""
    return {name for node in loader.disk_migrations for name in (node, *_all_replaced(node, loader))}


def _up_to(node, loader):
    """Return the names that the last migration of an app stands for."""
    if node in loader.graph.nodes:
        plan = loader.graph.forwards_plan(node)
        return {name for each in plan for name in (each, *_all_replaced(each, loader))}
    for squashed in loader.disk_migrations:
        replaced = _replaced(squashed, loader)
        if node in replaced:
            before = loader.graph.forwards_plan(squashed)[:-1] if squashed in loader.graph.nodes else []
            return {*before, *replaced[: replaced.index(node) + 1]}
    return {node}


def _torn(loader):
    """Return the squashed migrations that are applied in part and whose parts are missing: the graph leaves them
    out."""
    return [
        node
        for node in loader.disk_migrations
        if _replaced(node, loader)
        and node not in loader.graph.nodes
        and any(one not in loader.disk_migrations for one in _replaced(node, loader))
        and not any(node in _all_replaced(other, loader) for other in loader.graph.nodes)
    ]


@contextmanager
def _as_if_applied(names):
    """Replace the applied migrations while a graph is built. They decide whether it has a squashed migration or its
    parts."""
    real = MigrationRecorder.applied_migrations
    MigrationRecorder.applied_migrations = lambda self: dict.fromkeys(names)
    try:
        yield
    finally:
        MigrationRecorder.applied_migrations = real


# One database


class History:
    """The migrations of one database, and what another release knows of them.

    ``known``: a :class:`Known`, or None without another release. ``only``: names of migrations (see :func:`named`); the
    other release counts as knowing all others.
    """

    def __init__(self, alias, known, only=None):
        self.alias, self.only = alias, only
        self.executor = MigrationExecutor(connections[alias])
        self.loader = self.executor.loader
        self.known = known.compared(self.loader) if known else None
        self.names = set(MigrationRecorder(connections[alias]).applied_migrations())
        self.others = self._as_the_other_sees_it()

    def _as_the_other_sees_it(self):
        """Return the graph that has the parts of a squashed migration if the other release knows only some of them."""
        if not self.known:
            return self.loader
        try:
            with _as_if_applied(self.known.names):
                loader = MigrationLoader(connections[self.alias])
        except NodeNotFoundError:  # this release lacks the parts, and a migration depends on them
            return self.loader
        return self.loader if _torn(loader) else loader

    def applied(self, loader=None):
        """Return the nodes of the graph that are applied."""
        return {node for node in (loader or self.loader).graph.nodes if self._is_applied(node)}

    def _is_applied(self, node):
        replaced = _replaced(node, self.loader)
        return node in self.names or (bool(replaced) and all(map(self._is_applied, replaced)))

    def pending(self):
        """Return the migrations that aren't applied, in order. For another database, only those of apps with tables in
        it."""
        plan = [migration for migration, _ in self.executor.migration_plan(self.loader.graph.leaf_nodes())]
        if self.alias == "default":
            return plan
        return [migration for migration in plan if self._is_mine(migration.app_label)]

    def _is_mine(self, app):
        """Return whether an app's migrations count for this database. For the default one all do."""
        return self.alias == "default" or app in _apps_of(self.alias)

    def ahead(self):
        """Return the migrations that are applied and unknown to the other release, in order."""
        return self._ahead_in(self.others) if self.known else []

    def _ahead_in(self, loader):
        plan = dict.fromkeys(node for leaf in loader.graph.leaf_nodes() for node in loader.graph.forwards_plan(leaf))
        applied = self.applied(loader)
        unheard = [node for node in plan if node in applied and not self._hears(node)]
        return [loader.graph.nodes[node] for node in unheard if self._is_mine(node[0])]

    def _hears(self, node):
        if self.only is not None and named(".".join(node), self.alias) not in self.only:
            return True
        return self.known.hears(node, self.loader)

    def strangers(self):
        """Return the applied migrations that this release lacks: those that the other one knows, and the rest."""
        strange = {node for node in self.names - _heard_of(self.loader) if self._is_mine(node[0])}
        if self.known:
            strange -= self.known.same(self.loader)
        theirs = {node for node in strange if self.known and self._is_theirs(node)}
        return sorted(".".join(node) for node in theirs), sorted(".".join(node) for node in strange - theirs)

    def _is_theirs(self, node):
        """Return whether the other release knows a migration. An older record has last names only, and counts for the
        app."""
        return node in self.known.names or node[0] in self.known.leaves

    def torn(self):
        """Return why partly applied squashed migrations can't be completed. Django skips them silently."""
        return [
            f"{'.'.join(node)} is partly applied, and the migrations that it replaces are missing"
            for node in _torn(self.loader)
        ]

    def unrecorded(self):
        """Return the squashed migrations of which only the parts are recorded. Without the parts, Django would apply
        them again."""
        nodes = [
            node for node in self.loader.disk_migrations if _replaced(node, self.loader) and node not in self.names
        ]
        return [".".join(node) for node in nodes if self._is_applied(node) and self._is_mine(node[0])]

    def lacking(self):
        """Return why this release can't work with the tables as they are, before its pending migrations."""
        wanted = about.known(self.alias)
        if self.pending():
            wanted = about.tables(self.loader.project_state(list(self.applied())), self.alias)
        return list(about.lacking(wanted, about.there(self.alias, wanted)))

    def judged(self, plan, loader, start):
        """Return what migrations break in the other release, and what can't be checked: migration -> phrases, twice.

        ``start``: the nodes that are applied before the first of ``plan``.
        """
        if not plan or not self.known:
            return {}, {}
        state = loader.project_state(list(start))
        judge = Judge(self._tables(), state, self.alias)
        for migration in plan:
            judge.take_all(migration)
        strange = self.known.strange(self.loader) if not self.known.tables else set()
        for migration in plan:
            if migration.app_label in strange:
                note(judge.unjudged, label(migration), ["it can't be compared with that release's migrations"])
        return judge.breaking, judge.unjudged

    def _tables(self):
        """Return the tables that the other release knows. If only names were recorded, build them from this release's
        migrations; of an app without known migrations, from all that are applied."""
        if self.alias in self.known.tables:
            return self.known.tables[self.alias]
        if self.known.tables:
            return {}
        graph = self.others.graph
        heard = [node for node in graph.nodes if self._hears(node)]
        heard += [node for node in self.applied(self.others) if node[0] not in {app for app, _ in heard}]
        return about.tables(self.others.project_state(heard), self.alias)

    def way_back(self, ahead):
        """Return the migrations to go back to, as (app, name or zero) in order; or why it isn't possible, as a
        phrase."""
        if not ahead:
            return []
        tangled = sorted(self.known.strange(self.loader) & {migration.app_label for migration in ahead})
        if tangled and self.only is None:  # with ``only`` they are new, so the other can't know them by another name
            return f"the migrations of {', '.join(tangled)} can't be compared"
        nodes = {(migration.app_label, migration.name) for migration in ahead}
        in_part = any(self._hears(part) for node in nodes for part in _replaced(node, self.loader))
        if in_part or nodes != {(one.app_label, one.name) for one in self._ahead_in(self.loader)}:
            return "they are part of a squashed migration"
        to = [(app, self._last_heard(app, nodes)) for app in dict.fromkeys(one.app_label for one in reversed(ahead))]
        plan = self.executor.migration_plan([(app, name) for app, name in to])
        if {(migration.app_label, migration.name) for migration, _ in plan} != nodes or not all(
            back for _, back in plan
        ):
            return "other migrations, which stay, were applied in between"
        return [(app, name or "zero") for app, name in to]

    def _last_heard(self, app, ahead):
        """Return the last applied migration of an app that stays, or None."""
        applied = self.applied()
        leaves = [node for node in self.loader.graph.leaf_nodes() if node[0] == app]
        plan = [node for leaf in leaves for node in self.loader.graph.forwards_plan(leaf)]
        return next((name for label_, name in reversed(plan) if label_ == app and (app, name) in applied - ahead), None)


def own_command():
    """Return the app whose command replaces Django's ``migrate``, or an empty string."""
    app = get_commands().get("migrate", "django.core")
    name = app if isinstance(app, str) else type(app).__module__
    return "" if name == "django.core" else name


def leaves(loader):
    """Return the last migration of each app."""
    return dict(sorted(loader.graph.leaf_nodes()))


def unwritten(loader, folder):
    """Return what ``makemigrations`` would write for the project's own apps, those below ``folder``: app -> changes."""
    asked = MigrationQuestioner(specified_apps=set(), dry_run=True)  # asks no questions
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps), asked)
    own = {config.label for config in apps.get_app_configs() if _is_own(config.path, folder)}
    changes = detector.changes(graph=loader.graph)
    return {
        app: [operation.describe() for migration in found for operation in migration.operations]
        for app, found in changes.items()
        if app in own and app in loader.migrated_apps
    }


def _is_own(path, folder):
    return path.startswith(folder.rstrip("/") + "/") and "site-packages" not in path


def unmigrated(loader):
    """Return the apps that have models but no migration, so that their tables are never created."""
    known = {app for app, _ in loader.graph.nodes}
    return [
        config.label
        for config in apps.get_app_configs()
        if config.label not in known and any(_has_table(model) for model in config.get_models())
    ]


def _has_table(model):
    return model._meta.managed and not model._meta.proxy and router.allow_migrate_model("default", model)


def irreversible(plan):
    """Return, for each migration that can't be reversed, the operations at fault."""
    found = {label(migration): [called(op) for op in _flat(migration) if not op.reversible] for migration in plan}
    return {name: ", ".join(operations) for name, operations in found.items() if operations}


def loose(plan, alias="default"):
    """Return the migrations that aren't atomic: a failure leaves part of them applied."""
    together = connections[alias].features.can_rollback_ddl
    return [label(migration) for migration in plan if not (migration.atomic and together)]


def _flat(migration):
    for operation in migration.operations:
        yield operation
        yield from getattr(operation, "database_operations", ())
