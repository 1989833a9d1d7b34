"""Look-ups by key, answered at once: no task, no snapshot, no evaluation.

A shortcut answers only what the ordinary way would answer the same, and gives up otherwise: in a
transaction, when a commit of the session is not published yet, when the catalog, the role or a setting has
changed since it was made. Privileges were checked when it was made, under the same catalog and role.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import pyarrow as pa

from laminar._native.pgcodec import RowEncoder
from laminar.errors import PgError
from laminar.pgwire.backend import Field
from laminar.pgwire.rows import wire_forms
from laminar.pgwire.settings import output_settings
from laminar.sql.adhoc.keyread import KeyRead, Unusual, key_read, scanned
from laminar.sql.lifting import lift

if TYPE_CHECKING:
    from laminar.engine.serving.chunk import Chunk
    from laminar.server.rowwrites import RowWrite
    from laminar.server.session import PreparedStatement, Session

#: texts of simple queries that a session knows, shortcuts or not
_MAX_LIFTED: Final = 200
_VERBS: Final = frozenset((b"select", b"insert", b"update", b"delete"))
#: encoders that a chunk of rows keeps
_MAX_ENCODERS: Final = 8

State: TypeAlias = tuple[object, ...]


class Shortcut:
    """See :class:`laminar.pgwire.backend.Shortcut`."""

    def __init__(self, session: Session, read: KeyRead, fields: Sequence[Field]) -> None:
        self.writes: Literal[False] = False
        self.fields = fields
        self.descriptions: dict[bytes, bytes] = {}
        #: made under another catalog, role or settings than there are now
        self.stale = False
        self._state = state_of(session)
        self._session = session
        self._read = read
        self._types = [field.type for field in fields]

    def rows(
        self, values: Sequence[bytes | None], formats: Sequence[int], result_formats: Sequence[int]
    ) -> tuple[bytes, int] | None:
        session, read = self._session, self._read
        if not session.at_rest or len(values) != len(read.key.param_types):
            return None
        if self._state != state_of(session):
            self.stale = True
            return None
        coordinator, oid = session.database.coordinator, read.relation
        live = coordinator.store
        if session.committed_epoch > live.epoch or not coordinator.readable(oid) or oid not in live:
            return None
        store = live.relation(oid)
        if coordinator.read().snapshots.get(oid) is not store.snapshot():
            return None
        try:
            key = read.key.values(values, formats)
            found = None if key is None else store.find_row(key, read.key.widths)
            if found is None:
                return b"", 0
            chunk, offset = found
            return self._encoder(chunk, tuple(result_formats)).encode_row(offset), 1
        except (Unusual, PgError):
            return None

    def _encoder(self, chunk: Chunk, formats: tuple[int, ...]) -> RowEncoder:
        """For the result's columns of a chunk's rows; loaded once for all."""
        positions = self._read.positions
        settings = output_settings(self._session.settings)
        key = (positions, formats, settings)
        encoder: RowEncoder | None = chunk.notes.get(key)
        if encoder is None:
            encoder = RowEncoder(self._types, formats, settings)
            columns = [chunk.batch.column(p) for p in positions]
            encoder.load(pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))]))
            if len(chunk.notes) >= _MAX_ENCODERS:
                chunk.notes.clear()
            chunk.notes[key] = encoder
        return encoder


class LiftedQueries:
    """The simple queries of a session that are look-ups but for their literals."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state: State = ()
        self._known: dict[str, Shortcut | RowWrite | None] = {}

    def find(self, sql: bytes) -> tuple[Shortcut | RowWrite, Sequence[bytes | None]] | None:
        """See :meth:`laminar.pgwire.backend.Backend.lifted`."""
        # Only what changes nothing when it is bound. Queries with calls and subqueries are no look-ups: not
        # worth binding them a second time.
        verb = sql[:6].lower()
        if verb not in _VERBS or (verb == b"select" and b"(" in sql):
            return None
        lifted = lift(sql)
        if lifted is None:
            return None
        state = state_of(self._session)
        if state != self._state or len(self._known) > _MAX_LIFTED:
            self._known.clear()
            self._state = state
        if lifted.sql not in self._known:
            if not self._session.at_rest or not self._session.database.plans_cache.again(lifted.sql):
                return None
            self._known[lifted.sql] = self._made(lifted.sql)
        shortcut = self._known[lifted.sql]
        return None if shortcut is None else (shortcut, lifted.values)

    def _made(self, sql: str) -> Shortcut | RowWrite | None:
        try:
            return self._session.prepare_now(sql, ()).shortcut
        except PgError:
            return None


def shortcut_of(session: Session, prepared: PreparedStatement) -> Shortcut | RowWrite | None:
    """What the statement is when it reads a row by its key, or writes one."""
    from laminar.server.rowwrites import row_write_of
    from laminar.server.statements.query import QueryAction
    from laminar.server.statements.writes import WriteAction

    action = prepared.action
    if isinstance(action, WriteAction):
        return row_write_of(session, action)
    if not isinstance(action, QueryAction):
        return None
    planned = action.planned
    found = scanned(planned.plan)
    live = session.database.coordinator.store
    if found is None or found[0].relation not in live or not planned.columns:
        return None
    if session.database.coordinator.lookups.behind((found[0].relation,)):
        return None  # its rows may have to be waited for
    fields = action.fields or ()
    types = [field.type for field in fields]
    if wire_forms(types, [True] * len(types), session)[0] is not None:
        return None
    layout = live.relation(found[0].relation).layout
    read = key_read(planned.plan, planned.columns, planned.param_types, layout)
    return None if read is None else Shortcut(session, read, fields)


def state_of(session: Session) -> State:
    """Everything that a shortcut's answer depends on, but for the rows."""
    get = session.settings.__getitem__
    return (
        session.database.catalog.version,
        session.temp_schema,
        get("role"),
        get("session_authorization"),
        get("search_path"),
        get("TimeZone"),
        get("DateStyle"),
        get("IntervalStyle"),
        get("extra_float_digits"),
        get("bytea_output"),
    )
