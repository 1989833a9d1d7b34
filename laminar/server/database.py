"""The open database: catalog, engine and what ties them together."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from laminar import logging
from laminar.catalog.catalog import Catalog, index_attnums
from laminar.catalog.objects import StoredRelation
from laminar.catalog.system import SystemRelations
from laminar.engine import backup
from laminar.engine.coordinator import Coordinator
from laminar.engine.nodes import Materialize, Sink
from laminar.engine.relations import DataflowSpec, RelationSpec, inputs_of
from laminar.engine.serving.ordered import ColumnIndex
from laminar.errors import FEATURE_NOT_SUPPORTED, PgError
from laminar.server import guc, sources, temporary
from laminar.server.building import Building
from laminar.server.catalog_view import StoredCatalog
from laminar.server.conflicts import WriteGuard
from laminar.server.definitions import Definitions, remove
from laminar.server.notifications import Channels
from laminar.server.plancache import PlanCache
from laminar.server.uniques import Uniques
from laminar.sql.catalog_view import Relation
from laminar.sql.stream.shape import Shape, WindowRole

if TYPE_CHECKING:
    from laminar.config import Settings
    from laminar.server.commit import PendingCommit
    from laminar.server.session import Session


class Database:
    """One per server. Also the stream planner's ``Shapes``."""

    def __init__(self, catalog: Catalog, coordinator: Coordinator, settings: Settings) -> None:
        self.catalog = catalog
        self.coordinator: Coordinator = coordinator
        self.settings = settings
        self.setting_defaults = guc.server_defaults(settings.work_mem, settings.max_connections)
        self.reactors = settings.reactors
        self.log = logging.get("server")
        self.sessions: set[Session] = set()
        #: transactions that are no session's any more and not yet accepted
        self.committing: set[PendingCommit] = set()
        self.system = SystemRelations()
        #: when the server was started, microseconds since 1970
        self.started = time.time_ns() // 1000
        #: one DDL statement at a time
        self.ddl = asyncio.Lock()
        #: of the transaction block that has it
        self.definitions: Definitions | None = None
        #: stream plans of materialized views and sinks
        self.plans: dict[int, Materialize | Sink] = {}
        #: relations whose rows are being given another form: nobody may change them
        self.frozen: set[int] = set()
        self.plans_cache = PlanCache()
        self.channels = Channels()
        #: tables that sinks which are being created will fill
        self.filling: set[int] = set()
        #: views and sinks that are being created
        self.building: dict[int, Building] = {}
        self.ready = False
        self.guard = WriteGuard(coordinator.store)
        self.uniques = Uniques(coordinator.store)
        self._indexes: dict[int, ColumnIndex] = {}
        #: the catalog's version, and what ``relation`` has told of it
        self._described: tuple[int, dict[int, Relation]] = (-1, {})

    async def start(self) -> None:
        """Recover: register stored relations, plan the views again, start the engine."""
        from laminar.server.views import replan

        temporary.forget_leftovers(self)
        relations: list[RelationSpec] = []
        dataflows: list[DataflowSpec] = []
        for relation in self.catalog.in_creation_order():
            if relation.kind in ("mview", "stream", "sink"):
                root = replan(self, relation)
                dataflows.append(self.add_plan(relation, root))
            if relation.kind in ("mview", "stream"):
                relations.append(sources.view_spec(relation, root))
            elif relation.kind in ("table", "source"):
                relations.append(sources.relation_spec(relation))
        await self.coordinator.start(relations, dataflows, self.catalog.next_oid)
        self.ready = True

    async def stop(self) -> None:
        """Drain, checkpoint, stop the reactors, close the catalog."""
        self.ready = False
        await self.coordinator.stop()
        self.catalog.close()

    async def backup(self, uri: str) -> None:
        """Write a backup of everything accepted so far; statements go on, but for DDL at its beginning.

        Raises:
            PgError: 22023, 58P02 for the location, 53100, 58030.
        """
        target = backup.folder_of(uri)
        await asyncio.to_thread(backup.check_new, target)
        async with contextlib.AsyncExitStack() as stack:
            async with self.ddl:
                folder, manifest = await stack.enter_async_context(self.coordinator.linked())
                await asyncio.to_thread(self.catalog.copy, folder / "catalog")
            await asyncio.to_thread(backup.copy_out, folder, target, manifest)

    def add_plan(self, relation: StoredRelation, root: Materialize | Sink) -> DataflowSpec:
        """Remember a view's or sink's plan and describe it to the engine."""
        self.plans[relation.oid] = root
        # positions in the statement's text are not the plan's: they differ after a restart
        plan = re.sub(r"position=\d+", "", repr(root))
        fingerprint = hashlib.sha256(plan.encode()).hexdigest()
        return DataflowSpec(
            relation.oid,
            root,
            tuple(sorted({node.relation for node in inputs_of(root)})),
            "sink" if relation.kind == "sink" else "view",
            fingerprint,
            timezone=relation.settings.get("TimeZone", "UTC"),
        )

    def forget(self, relation: StoredRelation) -> None:
        """A relation is gone, or never came to be: its plan and its rows go too."""
        self.plans.pop(relation.oid, None)
        self._indexes.pop(relation.oid, None)
        self.uniques.forget(relation.oid)
        if relation.kind in ("table", "source", "mview", "stream"):
            self.coordinator.drop_relation(relation.oid)

    async def retire(self, relations: Iterable[StoredRelation]) -> None:
        """Relations have been dropped: dataflows and rows go, in a transaction block with its COMMIT."""
        if self.definitions is not None:
            self.definitions.retire(relations)
        else:
            await remove(self, relations)

    def made(self, relation: StoredRelation) -> None:
        """A relation's rows or dataflow are there now; a transaction block may take them back."""
        if self.definitions is not None:
            self.definitions.made(relation)

    def forget_indexes(self, oids: Iterable[int]) -> None:
        """Relations are what they were before: what is known of their values is not."""
        for oid in oids:
            self._indexes.pop(oid, None)
            self.uniques.forget(oid)

    def relation(self, oid: int) -> Relation:
        """A stored relation as binder and writers see it."""
        version, described = self._described
        if version != self.catalog.version:
            version, described = self._described = self.catalog.version, {}
        found = described.get(oid)
        if found is None:
            found = described[oid] = StoredCatalog.describe(self.catalog.relations[oid], self.catalog)
        return found

    def indexes(self, oid: int) -> list[ColumnIndex]:
        """What finds a stored relation's rows by their values."""
        found = []
        for stored in self.catalog.indexes_of(oid):
            index = self._indexes.get(stored.oid)
            if index is None:
                layout = self.coordinator.store.relation(oid).layout
                index = self._indexes[stored.oid] = ColumnIndex(layout, index_attnums(stored))
            found.append(index)
        return found

    def oldest_view(self) -> int:
        """The lowest epoch that an open or committing transaction reads."""
        views = (s.transaction.view for s in self.sessions if s.transaction is not None)
        epochs = [v.epoch for v in views if v is not None] + [c.seen for c in self.committing]
        return min(epochs, default=self.coordinator.store.epoch)

    def row_count(self, oid: int) -> float:
        """Rows of a stored relation in the newest epoch; -1 when it stores none."""
        snapshots = self.coordinator.read().snapshots
        return float(snapshots[oid].num_rows) if oid in snapshots else -1.0

    # --- the planner's questions ---------------------------------------------------

    def shape(self, relation: int) -> Shape:
        """See :class:`laminar.sql.stream.shape.Shapes`."""
        stored = self.catalog.relations.get(relation)
        if stored is None:
            raise PgError(
                FEATURE_NOT_SUPPORTED,
                "system relations cannot be read by materialized views",
                hint="Query them directly.",
            )
        if stored.kind == "sequence":
            raise PgError(FEATURE_NOT_SUPPORTED, "sequences cannot be read by materialized views")
        if stored.kind == "mview":
            return self._view_shape(self.plans[relation], stored)
        watermark = frozenset((stored.watermark[0],)) if stored.watermark else frozenset()
        append_only = stored.append_only or (stored.kind == "source" and not stored.primary_key)
        return Shape(
            key=stored.primary_key,
            append_only=append_only,
            watermarks=watermark,
            row_watermarks=bool(watermark),
            columns={i: (c.name, c.type) for i, c in enumerate(stored.columns, 1)},
        )

    @staticmethod
    def _view_shape(root: Materialize | Sink, stored: StoredRelation) -> Shape:
        properties = root.properties
        windows = root.windows if isinstance(root, Materialize) else ()
        attnums = {column.id: i for i, column in enumerate(properties.columns, 1)}
        return Shape(
            key=tuple(attnums[i] for i in properties.key),
            append_only=properties.append_only,
            watermarks=frozenset(attnums[i] for i in properties.watermarks),
            windows={attnums[i]: WindowRole(bound, size) for i, bound, size in windows},
            columns={i: (c.name, c.type) for i, c in enumerate(stored.columns, 1)},
        )
