"""INSERT of a row, UPDATE and DELETE by key, done as their messages arrive: no task, no epoch to wait for.

Such a statement, when it is a transaction of its own, is computed from the newest accepted row under the key
and accepted in the same turn of the event loop: nobody can come between, so nothing has to be checked again,
and what was committed before need not be published first. It becomes durable together with others
(:mod:`laminar.engine.intake`).

Only what succeeds plainly is done here. Whatever else is found, a key that is there already, a value that
breaks a constraint, a turn that somebody holds, is left to the ordinary way, which has changed nothing so far
and tells what is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa

from laminar.catalog.objects import StoredRelation
from laminar.engine.intake import WeightedRow
from laminar.engine.serving.layout import Layout, digest_of, digests
from laminar.errors import PgError
from laminar.pgwire.backend import Field, Written
from laminar.pgwire.params import decode_params
from laminar.server.conflicts import Row
from laminar.server.locks import ROW_EXCLUSIVE, ROW_MODES
from laminar.server.shortcuts import state_of
from laminar.server.statements.writes import WriteAction
from laminar.server.writing import checks_of, domains_of
from laminar.sql.adhoc.batches import make
from laminar.sql.adhoc.keyread import Key, Unusual, by_key, key_widths, scanned
from laminar.sql.binder import BoundDelete, BoundInsert, BoundUpdate
from laminar.sql.evaluator import Env
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.expressions import columns_of, walk
from laminar.sql.plan import Call, ColumnRef, Const, Expr, Param, Plan, Project
from laminar.types import PgType

if TYPE_CHECKING:
    from laminar.server.session import Session

#: volatile functions that change nothing that matters when their statement is run again, and that end at once
_HARMLESS: Final = frozenset({"nextval", "random", "gen_random_uuid", "clock_timestamp"})

_UPDATE: Final = ROW_MODES["update"]

#: one-row arrays
Values = list[pa.Array]
Arguments = tuple[Sequence[bytes | None], Sequence[int]]


class _Exprs:
    """Expressions of one row: constants made once, parameters and columns as they are, the rest evaluated."""

    def __init__(self, exprs: Sequence[Expr], positions: dict[int, int]) -> None:
        """``positions``: of the columns that they read, by id."""
        self._positions = positions
        #: for each expression its value, or what tells where it comes from
        self._sources: list[pa.Array | Param | ColumnRef | int] = []
        computed: list[Expr] = []
        for expr in exprs:
            if isinstance(expr, Const):
                self._sources.append(compile_exprs([expr], [])(make([], 1), Env())[0])
            elif isinstance(expr, ColumnRef) or (isinstance(expr, Param) and _plain(expr.type)):
                self._sources.append(expr)
            else:
                self._sources.append(len(computed))
                computed.append(expr)
        self._inputs = sorted(columns_of(*computed))
        self._program = compile_exprs(computed, self._inputs) if computed else None
        self.takes_params = any(isinstance(e, Param) for expr in exprs for e in walk(expr))

    def __call__(self, session: Session, given: Sequence[pa.Scalar | None], old: Values) -> Values:
        """One value each; raises PgError."""
        results: Values = []
        if self._program is not None:
            columns = [old[self._positions[i]] for i in self._inputs]
            results = self._program(make(columns, 1), session.env(given))
        found: Values = []
        for source in self._sources:
            if isinstance(source, pa.Array):
                found.append(source)
            elif isinstance(source, int):
                found.append(results[source])
            elif isinstance(source, Param):
                value = given[source.index - 1]
                found.append(pa.array([value], source.type.storage))
            else:
                found.append(old[self._positions[source.id]])
        return found


class _Target:
    """A table as these statements see it.

    Args:
        stored: has neither a watermark nor unique constraints beside its primary key.
    """

    def __init__(self, session: Session, stored: StoredRelation) -> None:
        database = session.database
        self.oid = stored.oid
        self.layout: Layout = database.coordinator.store.relation(stored.oid).layout
        self.keyed = bool(stored.primary_key)
        self._database = database
        self._widths = key_widths(self.layout) if self.keyed else None
        attnums = range(1, len(stored.columns) + 1)
        self._required = [a - 1 for a in attnums if stored.columns[a - 1].not_null or a in stored.primary_key]
        checks = [check.expr for check in checks_of(database, stored.oid)]
        self._checks = compile_exprs(checks, attnums) if checks else None
        domains = domains_of(database, stored.oid)
        self._domains = compile_exprs(domains, attnums) if domains else None

    def valid(self, row: Values, session: Session) -> bool:
        """Whether a new row meets the table's constraints but for its key's; raises PgError too if not."""
        if any(row[i].null_count for i in self._required):
            return False
        if self._domains is not None:
            self._domains(make(row, 1), session.env())
        if self._checks is None:
            return True
        return all(result[0].as_py() is not False for result in self._checks(make(row, 1), session.env()))

    def key(self, row: Values) -> tuple[bytes, Values]:
        """The key of a row: its digest, and as (comparable) arrays."""
        values = [row[i] for i in self.layout.key]
        if self._widths is None:
            keys = self.layout.comparable(values)
            return digests(*keys)[0], keys
        plain = tuple(v[0].as_py() for v in values)
        encoded = tuple(v.encode() if isinstance(v, str) else v for v in plain)
        return digest_of(encoded, self._widths), values

    def there(self, digest: bytes, keys: Values) -> bool:
        """Whether a row has the key."""
        known, row = self._database.guard.newest(self.oid, digest, lambda: keys)
        if known:
            return row is not None
        store = self._database.coordinator.store.relation(self.oid)
        return bool(store.find_comparable(keys)[0] >= 0)

    def accept(
        self, session: Session, rows: list[WeightedRow], key: tuple[bytes, Values] | None, row: Values | None
    ) -> asyncio.Future[None] | None:
        """Change the table; ``row`` is what there is now under the key, if it has one."""
        database = self._database
        durable = database.coordinator.add_rows(self.oid, rows)
        if durable is None:
            return None
        epoch = database.coordinator.open
        database.guard.accepts += 1
        if key is not None:
            database.guard.accepted_row(self.oid, epoch, *key, None if row is None else Row(row, 0))
            database.instance.prune_guard()
        session.committed_epoch = max(session.committed_epoch, epoch)
        return durable


class RowWrite:
    """See :class:`laminar.pgwire.backend.RowWrite`."""

    fields: Sequence[Field] = ()

    def __init__(self, session: Session, target: _Target, exprs: _Exprs, types: Sequence[PgType]) -> None:
        self.writes: Literal[True] = True
        self.stale = False
        self._state = state_of(session)
        self._session = session
        self._target = target
        self._exprs = exprs
        self._types = types

    def start(self, values: Sequence[bytes | None], formats: Sequence[int]) -> Written | None:
        session = self._session
        if not session.at_rest or len(values) != len(self._types):
            return None
        if self._state != state_of(session):
            self.stale = True
            return None
        database, oid = session.database, self._target.oid
        if session.settings["synchronous_commit"] == "off" or oid in database.frozen:
            return None
        if database.guard.busy(oid) or oid not in database.coordinator.store:
            return None
        if not database.instance.locks.free(("table", oid), ROW_EXCLUSIVE, session.locks):
            return None
        try:
            return self._done((values, formats))
        except (Unusual, PgError):
            return None

    def _done(self, arguments: Arguments) -> Written | None:
        raise NotImplementedError

    def _given(self, arguments: Arguments) -> Sequence[pa.Scalar | None]:
        """The parameters' values."""
        session, (values, formats) = self._session, arguments
        return decode_params(self._types, formats, values, session.settings, session.read_value)


class InsertRow(RowWrite):
    """INSERT INTO t VALUES (…)."""

    def _done(self, arguments: Arguments) -> Written | None:
        session, target = self._session, self._target
        row = self._exprs(session, self._given(arguments), [])
        if not target.valid(row, session):
            return None
        key = target.key(row) if target.keyed else None
        if key is not None and target.there(*key):
            return None
        durable = target.accept(session, [WeightedRow(row, 1)], key, row)
        return None if durable is None else Written("INSERT 0 1", durable)


class ChangeRow(RowWrite):
    """UPDATE or DELETE of the row with a key.

    Args:
        condition: what the row must meet beside its key.
        exprs: the condition and, but for DELETE, the new row's values.
    """

    def __init__(
        self,
        session: Session,
        target: _Target,
        exprs: _Exprs,
        types: Sequence[PgType],
        key: Key,
        conditions: int,
        verb: str,
    ) -> None:
        super().__init__(session, target, exprs, types)
        self._key = key
        self._conditions = conditions
        self._verb = verb
        #: parameters are read even if the row is not there: they may be wrong
        self._reads_params = {k for k in key.keys if isinstance(k, int)} != set(range(len(types)))
        self._reads_params |= exprs.takes_params

    def _done(self, arguments: Arguments) -> Written | None:
        session, target = self._session, self._target
        given = self._given(arguments) if self._reads_params else ()
        wanted = self._key.values(*arguments)
        if wanted is None:
            return Written(f"{self._verb} 0")
        digest = digest_of(wanted, self._key.widths)
        known, newest = session.database.guard.newest(target.oid, digest, lambda: self._arrays(wanted))
        if known:
            if newest is None:
                return None  # the deletion may not be durable yet
            old = newest.single()
        else:
            found = session.database.coordinator.store.relation(target.oid).find_row(wanted, self._key.widths)
            if found is None:
                return Written(f"{self._verb} 0")
            chunk, offset = found
            old = Row(chunk.batch.columns, offset).single()
        if not session.database.instance.locks.free(("row", target.oid, digest), _UPDATE, session.locks):
            return None
        made = self._exprs(session, given, old)
        if not all(met[0].as_py() for met in made[: self._conditions]):
            return None if known else Written(f"{self._verb} 0")
        rows = [WeightedRow(old, -1)]
        row = made[self._conditions :] or None
        if row is not None:
            if not target.valid(row, session):
                return None
            rows.append(WeightedRow(row, 1))
        durable = target.accept(session, rows, (digest, [old[i] for i in target.layout.key]), row)
        return None if durable is None else Written(f"{self._verb} 1", durable)

    def _arrays(self, wanted: tuple[int | bytes, ...]) -> Values:
        plain = (v.decode() if isinstance(v, bytes) else v for v in wanted)
        types = self._target.layout.key_types
        return [pa.array([v], t.storage) for v, t in zip(plain, types, strict=True)]


def row_write_of(session: Session, action: WriteAction) -> RowWrite | None:
    """What the statement is when it writes one row."""
    bound = action.bound
    stored = session.database.catalog.relations.get(bound.relation.oid)
    if stored is None or stored.kind != "table" or stored.watermark is not None:
        return None
    if bound.returning_columns or action.locking or session.database.catalog.uniques_of(stored.oid):
        return None
    if isinstance(bound, BoundInsert):
        if not action.plain or action.row is None or not _suits(action.row):
            return None
        exprs = _Exprs(action.row, {})
        return InsertRow(session, _Target(session, stored), exprs, action.param_types)
    if isinstance(bound, BoundUpdate | BoundDelete) and stored.primary_key and action.plan is not None:
        return _change_of(session, action, bound, action.plan, stored)
    return None


def _change_of(
    session: Session,
    action: WriteAction,
    bound: BoundUpdate | BoundDelete,
    plan: Plan,
    stored: StoredRelation,
) -> ChangeRow | None:
    found = scanned(plan)
    if found is None or found[0].relation != stored.oid:
        return None
    target = _Target(session, stored)
    keyed = by_key(*found, action.param_types, target.layout)
    if keyed is None:
        return None
    key, conditions = keyed
    positions = {
        c.id: target.layout.position[a] for c, a in zip(found[0].columns, found[0].attnums, strict=True)
    }
    new: list[Expr] = []
    if isinstance(bound, BoundUpdate):
        made = _computed(plan)
        new = [made.get(c.id, ColumnRef(c.id, c.type)) for c in bound.new]
        if any(not _same(new[i], i, positions) for i in target.layout.key):
            return None
    exprs = [*conditions, *new]
    if not _suits(exprs) or not columns_of(*exprs) <= positions.keys():
        return None
    verb = "UPDATE" if isinstance(bound, BoundUpdate) else "DELETE"
    return ChangeRow(
        session, target, _Exprs(exprs, positions), action.param_types, key, len(conditions), verb
    )


def _computed(plan: Plan) -> dict[int, Expr]:
    """The expressions of the one projection over the filter, by column."""
    if isinstance(plan, Project) and not isinstance(plan.input, Project):
        return {c.id: e for c, e in zip(plan.columns, plan.exprs, strict=True)}
    return {}


def _same(expr: Expr, position: int, positions: dict[int, int]) -> bool:
    """Whether the expression is the column at a position."""
    return isinstance(expr, ColumnRef) and positions.get(expr.id) == position


def _suits(exprs: Sequence[Expr]) -> bool:
    """Whether they may be evaluated here, and once more the ordinary way."""
    calls = (e.function for expr in exprs for e in walk(expr) if isinstance(e, Call))
    return all(f.routine is None and (f.volatility != "v" or f.name in _HARMLESS) for f in calls)


def _plain(pg_type: PgType) -> bool:
    """Whether an array can be made of a scalar of the type."""
    storage = pg_type.storage
    return bool(pa.types.is_primitive(storage) or pa.types.is_string(storage))
