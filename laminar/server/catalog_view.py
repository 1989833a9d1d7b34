"""The catalog as the binder and the statements see it: through a search path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from laminar.catalog.catalog import SYSTEM_SCHEMAS, index_attnums
from laminar.catalog.objects import KIND_NAMES, StoredFunction, StoredRelation
from laminar.catalog.system import SystemRelation
from laminar.errors import (
    FEATURE_NOT_SUPPORTED,
    UNDEFINED_SCHEMA,
    UNDEFINED_TABLE,
    WRONG_OBJECT_TYPE,
    PgError,
)
from laminar.server import advisory, guc, introspection, names, privileges, sinks
from laminar.server.notifications import check_notification
from laminar.server.sequences import serial_sequence
from laminar.sql.catalog_view import Attribute, Domain, NamedType, Relation, Watermark, check_database
from laminar.sql.facts import ProcFact
from laminar.sql.plan import Routine
from laminar.types import REGCLASS, PgType

if TYPE_CHECKING:
    from threading import Event

    import numpy as np
    import numpy.typing as npt

    from laminar.catalog.catalog import Catalog
    from laminar.server.database import Database
    from laminar.server.session import Session
    from laminar.sql.statements import QName


def fact_of(function: StoredFunction) -> ProcFact:
    """A user's function as overload resolution sees it."""
    names = tuple(name or f"arg{i}" for i, name in enumerate(function.parameters, 1))
    types = tuple(PgType(oid) for oid in function.types)
    routine = Routine(
        function.language,
        function.body,
        names,
        types,
        function.vectorized,
        function.returns_set,
        tuple((name, PgType(oid)) for name, oid in function.columns),
        function.aggregate,
    )
    return ProcFact(
        oid=function.oid,
        name=function.name,
        # tells calls of different functions apart
        symbol=f"routine {function.oid}",
        kind="a" if function.aggregate else "f",
        retset=function.returns_set,
        strict=function.strict,
        volatility=function.volatility,
        result=function.result,
        args=function.types,
        variadic=PgType(function.types[-1]).element.oid if function.variadic else 0,
        all_names=function.parameters,
        all_modes=(),
        all_types=(),
        defaults=function.defaults,
        routine=routine,
    )


class StoredCatalog:
    """The binder's CatalogView over a fixed search path, as views were created under."""

    def __init__(self, database: Database, search_path: tuple[str, ...], user: str) -> None:
        self.database = database
        self.user = user
        self._path = search_path

    @property
    def search_path(self) -> tuple[str, ...]:
        """Schemas for names without one, pg_catalog first as in PostgreSQL."""
        return self._path if "pg_catalog" in self._path else ("pg_catalog", *self._path)

    @property
    def database_name(self) -> str:
        """What names may begin with."""
        return self.database.name

    def relation(self, schema: str | None, name: str) -> Relation | None:
        """The relation a name means, or None."""
        for candidate in (schema,) if schema is not None else self.search_path:
            stored = self.database.catalog.find(candidate, name)
            if stored is not None:
                return self.describe(stored, self.database.catalog)
            system = self.database.system.by_name.get((candidate, name))
            if system is not None:
                return _system_relation(system)
        return None

    def functions(self, schema: str | None, name: str) -> list[ProcFact]:
        """Users' functions of that name, in the order of the search path."""
        schemas = (schema,) if schema is not None else self.search_path
        return [fact_of(f) for where in schemas for f in self.database.catalog.functions_named(where, name)]

    def type_named(self, schema: str | None, name: str) -> NamedType | None:
        """A user's type, or None."""
        for where in (schema,) if schema is not None else self.search_path:
            found = self.database.catalog.find_type(where, name)
            if found is not None:
                domain = self.domain(found.oid)
                type_ = PgType(found.oid) if domain is None else domain.type
                return NamedType(found.oid, type_, found.array, domain)
        return None

    def domain(self, oid: int) -> Domain | None:
        """The domain with this oid, or None."""
        found = self.database.catalog.types.get(oid)
        if found is None or found.base is None:
            return None
        checks = tuple((name, text) for name, text, _ in found.checks)
        under = next((d for t in found.depends_on if (d := self.domain(t)) is not None), None)
        return Domain(found.name, found.base, found.not_null, found.default, checks, found.search_path, under)

    def relation_by_oid(self, oid: int) -> Relation | None:
        """The relation with this oid, or None."""
        stored = self.database.catalog.relations.get(oid)
        if stored is not None:
            return self.describe(stored)
        system = self.database.system.by_oid.get(oid)
        return None if system is None else _system_relation(system)

    def with_search_path(self, schemas: Sequence[str]) -> StoredCatalog:
        """The same catalog under another search path (for a view's definition)."""
        return StoredCatalog(self.database, tuple(schemas), self.user)

    def has_schema(self, name: str) -> bool:
        """Whether there is such a schema."""
        return name in self.database.catalog.schemas or name in SYSTEM_SCHEMAS

    @staticmethod
    def describe(stored: StoredRelation, catalog: Catalog | None = None) -> Relation:
        """A stored relation as the binder wants it; with its unique indexes if the catalog is given."""
        attributes = tuple(
            Attribute(c.name, c.type, attnum, c.not_null, c.default, c.generated, c.identity)
            for attnum, c in enumerate(stored.columns, 1)
        )
        unique = () if catalog is None else catalog.uniques_of(stored.oid)
        return Relation(
            oid=stored.oid,
            uniques=tuple((index.name, index_attnums(index)) for index in unique),
            schema=stored.schema,
            name=stored.name,
            kind=stored.kind,
            columns=attributes,
            primary_key=stored.primary_key,
            watermark=Watermark(*stored.watermark) if stored.watermark else None,
            append_only=stored.append_only,
            on_conflict=stored.on_conflict,
            definition=stored.query if stored.kind in ("view", "stream") else None,
            search_path=stored.search_path,
            scannable=stored.connector is None and stored.kind not in ("sink", "index"),
        )


class SessionCatalog(StoredCatalog):
    """A session's view: its search path as it is now, and look-ups that raise."""

    def __init__(self, database: Database, session: Session) -> None:
        super().__init__(database, (), session.authenticated)
        self._session = session
        #: usable_path(), and what it was made of
        self._usable: tuple[object, list[str]] = (None, [])

    @property
    def search_path(self) -> tuple[str, ...]:
        path = self._session.search_path
        path = path if "pg_catalog" in path else ("pg_catalog", *path)
        temporary = self._session.temp_schema
        return path if temporary is None else (temporary, *path)

    def relation(self, schema: str | None, name: str) -> Relation | None:
        if schema is not None:
            schema = self._session.temp_schema or schema if schema == "pg_temp" else schema
            self.check_usage(schema)
        for candidate in (schema,) if schema is not None else self.usable_path():
            found = super().relation(candidate, name)
            if found is not None:
                return found
        return None

    def check_usage(self, schema: str) -> None:
        """Raise 42501 for a schema that the session's role may not look into."""
        if self.has_schema(schema):
            privileges.check_schema(self.database.catalog, self._session.role.name, schema, "USAGE")

    def usable_path(self) -> list[str]:
        """The schemas of the search path that there are and that the role may look into."""
        catalog, role, path = self.database.catalog, self._session.role.name, self.search_path
        state = (catalog.version, role, path)
        if self._usable[0] != state:
            usable = [
                schema
                for schema in path
                if self.has_schema(schema) and "U" in privileges.schema_letters(catalog, role, schema)
            ]
            self._usable = state, usable
        return self._usable[1]

    def find(self, name: QName) -> StoredRelation | None:
        """The stored relation a name means, or None."""
        self._check_database(name)
        wanted = name.schema
        if wanted == "pg_temp" and self._session.temp_schema is not None:
            wanted = self._session.temp_schema
        if wanted is not None:
            self.check_usage(wanted)
        for schema in (wanted,) if wanted is not None else self.usable_path():
            found = self.database.catalog.find(schema, name.name)
            if found is not None:
                return found
        return None

    def stored(self, name: QName) -> StoredRelation:
        """The stored relation a name means; 42P01, 3F000."""
        found = self.find(name)
        if found is not None:
            return found
        where = name.pos or None
        if name.schema is not None and not self.has_schema(name.schema):
            raise PgError(UNDEFINED_SCHEMA, f'schema "{name.schema}" does not exist', position=where)
        raise PgError(UNDEFINED_TABLE, f'relation "{name}" does not exist', position=where)

    def writable(self, name: QName, verb: str) -> StoredRelation:
        """A table or push source that the session may write to; 42809, 42501, 0A000."""
        found = self.stored(name)
        where = name.pos or None
        if found.kind not in ("table", "source"):
            article = KIND_NAMES[found.kind]
            raise PgError(WRONG_OBJECT_TYPE, f'cannot {verb} {article} "{found.name}"', position=where)
        if found.connector is not None:
            raise PgError(
                FEATURE_NOT_SUPPORTED,
                f'cannot {verb} source "{found.name}"',
                hint=f"Its rows come from the connector {found.connector}.",
                position=where,
            )
        sinks.refuse_filled(self.database, found, verb, where)
        return found

    def creation_name(self, name: QName, temporary: bool = False) -> tuple[str, str]:
        """(schema, name) for a new relation; raises unless the name is free."""
        self._check_database(name)
        schema = name.schema
        if temporary:
            if schema not in (None, "pg_temp", self._session.temp_schema):
                raise PgError(
                    "42P16", "cannot create temporary relation in non-temporary schema", position=name.pos
                )
            schema = self._session.temp_schema
            assert schema is not None
        elif schema is None:
            known = self.database.catalog.schemas
            usable = set(self.usable_path())
            schema = next((s for s in self._session.search_path if s in known and s in usable), None)
            if schema is None:
                raise PgError(UNDEFINED_SCHEMA, "no schema has been selected to create in")
        catalog = self.database.catalog
        catalog.check_schema(schema, name.pos or None)
        privileges.check_schema(catalog, self._session.role.name, schema, "CREATE", name.pos or None)
        catalog.check_free(schema, name.name, name.pos or None)
        return schema, name.name

    def taken(self, name: QName, if_not_exists: bool, temporary: bool = False) -> bool:
        """Whether IF NOT EXISTS has nothing to do: then nothing else of the statement is looked at."""
        if not if_not_exists:
            return False
        schema = name.schema
        if temporary:
            schema = self._session.temp_schema or ""
        elif schema is None:
            schema = next((s for s in self._session.search_path if s in self.database.catalog.schemas), "")
        return self.database.catalog.find(schema, name.name) is not None

    # --- what expressions ask: laminar.sql.evaluator's CatalogNames ----------------------

    def parse_reg(self, name: str, type_oid: int) -> int:
        """The oid that text means as regclass, regtype or the like; raises 42P01, 42704, 42883."""
        return names.parse(self._session, name, type_oid)

    def format_reg(self, oid: int, type_oid: int) -> str:
        """The name of an oid; an unknown one as its digits."""
        return names.display(self._session, oid, type_oid)

    def answer(self, symbol: str, *args: Any) -> Any:
        """A function about the catalog's objects, by its pg_proc.prosrc."""
        return introspection.ANSWERS[symbol](self._session, *args)

    def role_name(self, oid: int) -> str:
        """pg_get_userbyid."""
        for role in self.database.catalog.roles.values():
            if role.oid == oid:
                return role.name
        return f"unknown (OID={oid})"

    def random(self, count: int) -> npt.NDArray[np.float64]:
        """random()'s numbers: chance, or what setseed() has set off."""
        return self._session.random.numbers(count)

    def seed_random(self, seed: float) -> None:
        """setseed(); 22023."""
        self._session.random.seed(seed)

    def next_values(self, oid: int, count: int) -> npt.NDArray[np.int64]:
        """nextval()."""
        return self._session.sequences.next_values(oid, count)

    def current_value(self, oid: int) -> int:
        """currval()."""
        return self._session.sequences.current_value(oid)

    def last_value(self) -> int:
        """lastval()."""
        return self._session.sequences.last_value()

    def set_value(self, oid: int, value: int, called: bool = True) -> int:
        """setval()."""
        return self._session.sequences.set_value(oid, value, called)

    def serial_sequence(self, table: str, column: str) -> str | None:
        """pg_get_serial_sequence()."""
        relation = self.database.catalog.relations.get(self.parse_reg(table, REGCLASS))
        return None if relation is None else serial_sequence(self._session, relation, column)

    def signal_session(self, process_id: int, terminate: bool) -> bool:
        """pg_cancel_backend() and pg_terminate_backend(): whether there is such a session. Raises 42501."""
        database = self.database
        other = next((s for s in database.sessions if s.client.process_id == process_id), None)
        if other is None:
            return False
        me, them = self._session.role, database.catalog.roles.get(other.authenticated)
        if them is not None and them.superuser and not me.superuser:
            what = "terminate superuser process" if terminate else "cancel superuser query"
            raise PgError("42501", f"must be a superuser to {what}")
        if not privileges.owns(database.catalog, me.name, other.authenticated):
            what = "process is being terminated" if terminate else "query is being canceled"
            raise PgError(
                "42501", f"must be a member of the role whose {what} or member of pg_signal_backend"
            )
        if terminate:
            error = PgError("57P01", "terminating connection due to administrator command")
            self._session.loop.call_soon_threadsafe(other.client.terminate, error)
        else:
            self._session.loop.call_soon_threadsafe(other.cancel)
        return True

    def advisory(self, name: str, keys: Sequence[int], cancelled: Event | None) -> bool:
        """pg_advisory_lock() and its kin."""
        return advisory.call(self._session, name, keys, cancelled)

    def listening(self) -> list[str]:
        """pg_listening_channels()."""
        return self.database.channels.of(self._session)

    def notify(self, channel: str, payload: str) -> None:
        """pg_notify()."""
        check_notification(channel, payload)
        if self._session.transaction is not None:
            self._session.transaction.notifications.notify(channel, payload)

    def setting(self, name: str) -> str:
        """current_setting; raises 42704."""
        return self._session.settings.get(name) or self._session.settings[guc.find(name).name]

    def assign(self, name: str, value: str | None, local: bool) -> str:
        """set_config; raises what SET does."""
        from laminar.server.statements.settings import set_config

        return set_config(self._session, name, value, local)

    def _check_database(self, name: QName) -> None:
        check_database(self.database.name, name.parts, name.pos)


def _system_relation(system: SystemRelation) -> Relation:
    found = _SYSTEM.get(system.oid)
    if found is None:
        attributes = tuple(Attribute(c.name, c.type, i, c.not_null) for i, c in enumerate(system.columns, 1))
        found = _SYSTEM[system.oid] = Relation(
            oid=system.oid,
            schema=system.schema,
            name=system.name,
            kind="system",
            columns=attributes,
            primary_key=(),
            watermark=None,
            append_only=False,
            definition=None,
            scannable=True,
        )
    return found


#: by oid; they are the same in every database
_SYSTEM: Final[dict[int, Relation]] = {}
