"""An open database: its catalog and what is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from laminar.catalog.catalog import Catalog, index_attnums
from laminar.catalog.objects import StoredRelation
from laminar.catalog.system import SystemRelations
from laminar.connectors.base import lookup_connector
from laminar.engine.nodes import Append, Materialize, Sink
from laminar.engine.planformat import fingerprint
from laminar.engine.relations import DataflowSpec, RelationSpec, inputs_of
from laminar.engine.serving.ordered import ColumnIndex
from laminar.errors import FEATURE_NOT_SUPPORTED, PgError
from laminar.server import sources, temporary
from laminar.server.building import Building
from laminar.server.catalog_view import StoredCatalog
from laminar.server.computed import computed_spec
from laminar.server.definitions import Definitions, remove
from laminar.server.notifications import Channels
from laminar.server.plancache import PlanCache
from laminar.sql.catalog_view import Relation
from laminar.sql.stream.shape import LookupShape, Shape, WindowRole

if TYPE_CHECKING:
    from laminar.server.instance import Instance
    from laminar.server.session import Session


class Database:
    """A database: its catalog, and what is made of it. Also the stream planner's ``Shapes``.

    The engine, the sessions and all that goes by the numbers of relations is the instance's.
    """

    def __init__(self, instance: Instance, catalog: Catalog) -> None:
        self.instance = instance
        self.catalog = catalog
        self.coordinator = instance.coordinator
        self.settings = instance.settings
        self.reactors = instance.settings.reactors
        self.log = instance.log
        self.sessions = instance.sessions
        self.committing = instance.committing
        self.system = SystemRelations()
        self.started = instance.started
        self.ddl = instance.ddl
        #: of the transaction block that has it
        self.definitions: Definitions | None = None
        #: stream plans of materialized views and sinks
        self.plans: dict[int, Materialize | Sink] = {}
        self.frozen = instance.frozen
        self.plans_cache = PlanCache()
        self.channels = Channels()
        #: tables that sinks which are being created will fill
        self.filling: set[int] = set()
        #: views and sinks that are being created
        self.building: dict[int, Building] = {}
        self.guard = instance.guard
        self.uniques = instance.uniques
        self._indexes: dict[int, ColumnIndex] = {}
        #: the catalog's version, and what ``relation`` has told of it
        self._described: tuple[int, dict[int, Relation]] = (-1, {})

    @property
    def name(self) -> str:
        """The database's name as it is now."""
        return self.catalog.database.name

    @property
    def setting_defaults(self) -> dict[str, str]:
        """The settings that sessions begin with, where they are not PostgreSQL's."""
        return self.instance.setting_defaults | self.catalog.database.settings

    @property
    def my_sessions(self) -> list[Session]:
        """The sessions that are connected to it."""
        return [session for session in self.sessions if session.database.catalog.oid == self.catalog.oid]

    def recover(self) -> tuple[list[RelationSpec], list[DataflowSpec]]:
        """At a start: what the engine is to keep, views planned again."""
        from laminar.server.views import replan

        temporary.forget_leftovers(self)
        relations: list[RelationSpec] = []
        dataflows: list[DataflowSpec] = []
        for relation in self.catalog.in_creation_order():
            if relation.kind in ("mview", "stream", "sink"):
                root = replan(self, relation)
                spec = self.add_plan(relation, root)
                if sources.PAUSED not in relation.options:
                    dataflows.append(spec)
            if relation.kind in ("mview", "stream"):
                assert not isinstance(root, Append)
                relations.append(sources.view_spec(relation, root))
            elif relation.kind in ("table", "source", "lookup"):
                relations.append(computed_spec(self, relation))
        return relations, dataflows

    def add_plan(self, relation: StoredRelation, root: Materialize | Sink | Append) -> DataflowSpec:
        """Remember a view's or sink's plan and describe it to the engine."""
        if not isinstance(root, Append):
            self.plans[relation.oid] = root
        return DataflowSpec(
            relation.oid,
            root,
            tuple(sorted({node.relation for node in inputs_of(root)})),
            "sink" if relation.kind == "sink" else "view",
            fingerprint(root),
            timezone=relation.settings.get("TimeZone", "UTC"),
        )

    def forget(self, relation: StoredRelation) -> None:
        """A relation is gone, or never came to be: its plan and its rows go too."""
        self.plans.pop(relation.oid, None)
        self._indexes.pop(relation.oid, None)
        self.uniques.forget(relation.oid)
        if relation.kind in ("table", "source", "mview", "stream", "lookup"):
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

    def row_count(self, oid: int) -> float:
        """Rows of a stored relation in the newest epoch; -1 when it stores none."""
        snapshots = self.coordinator.read().snapshots
        return float(snapshots[oid].num_rows) if oid in snapshots else -1.0

    # --- the planner's questions ---------------------------------------------------

    def is_lookup(self, relation: int) -> bool:
        """See :class:`laminar.sql.stream.shape.Shapes`."""
        stored = self.catalog.relations.get(relation)
        return stored is not None and stored.kind == "lookup"

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
        upserts = sources.upserts(stored)
        return Shape(
            key=stored.primary_key,
            append_only=append_only,
            watermarks=watermark,
            row_watermarks=bool(watermark) and upserts is None,
            columns={i: (c.name, c.type) for i, c in enumerate(stored.columns, 1)},
            upserts=upserts,
            lookup=_lookup_shape(stored) if stored.kind == "lookup" else None,
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


def _lookup_shape(table: StoredRelation) -> LookupShape:
    spec = sources.lookup_spec(table)
    limits = lookup_connector(spec.connector).limits(spec)
    return LookupShape(table.name, limits.ttl, limits.size)
