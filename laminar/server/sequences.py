"""What a session's expressions ask of sequences, with its privileges and what it was given last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from laminar.catalog.acl import LETTERS
from laminar.errors import (
    INSUFFICIENT_PRIVILEGE,
    OBJECT_NOT_IN_PREREQUISITE_STATE,
    READ_ONLY_SQL_TRANSACTION,
    UNDEFINED_COLUMN,
    UNDEFINED_TABLE,
    WRONG_OBJECT_TYPE,
    PgError,
)
from laminar.server import privileges

if TYPE_CHECKING:
    from laminar.catalog.objects import StoredRelation
    from laminar.server.session import Session


class SessionSequences:
    """One per session; called by the threads that run its statements, one at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._given: dict[int, int] = {}
        self._newest = 0

    def next_values(self, oid: int, count: int) -> npt.NDArray[np.int64]:
        """nextval() for so many rows."""
        sequence = self._sequence(oid, ("USAGE", "UPDATE"))
        self._check_writable("nextval()")
        values = self._session.database.catalog.sequences.take(sequence, count)
        self._given[oid], self._newest = int(values[-1]), oid
        return values

    def current_value(self, oid: int) -> int:
        """currval(). Raises 55000 when this session was given none."""
        sequence = self._sequence(oid, ("USAGE", "SELECT"))
        if oid not in self._given:
            raise PgError(
                OBJECT_NOT_IN_PREREQUISITE_STATE,
                f'currval of sequence "{sequence.name}" is not yet defined in this session',
            )
        return self._given[oid]

    def last_value(self) -> int:
        """lastval(): of whatever sequence was used last."""
        if self._newest not in self._session.database.catalog.relations:
            raise PgError(OBJECT_NOT_IN_PREREQUISITE_STATE, "lastval is not yet defined in this session")
        self._sequence(self._newest, ("USAGE", "SELECT"))
        return self._given[self._newest]

    def set_value(self, oid: int, value: int, called: bool = True) -> int:
        """setval()."""
        sequence = self._sequence(oid, ("UPDATE",))
        self._check_writable("setval()")
        self._session.database.catalog.sequences.set(sequence, value, called)
        if called:
            self._given[oid] = value
        return value

    def forget(self) -> None:
        """DISCARD SEQUENCES."""
        self._given.clear()
        self._newest = 0

    def _check_writable(self, what: str) -> None:
        transaction = self._session.transaction
        if transaction is not None and transaction.read_only:
            raise PgError(READ_ONLY_SQL_TRANSACTION, f"cannot execute {what} in a read-only transaction")

    def _sequence(self, oid: int, wanted: tuple[str, ...]) -> StoredRelation:
        catalog = self._session.database.catalog
        relation = catalog.relations.get(oid)
        if relation is None:
            raise PgError(UNDEFINED_TABLE, f"could not open relation with OID {oid}")
        if relation.kind != "sequence":
            raise PgError(WRONG_OBJECT_TYPE, f'"{relation.name}" is not a sequence')
        letters = privileges.relation_letters(catalog, self._session.role.name, relation)
        if not any(LETTERS[privilege] in letters for privilege in wanted):
            raise PgError(INSUFFICIENT_PRIVILEGE, f"permission denied for sequence {relation.name}")
        return relation


def serial_sequence(session: Session, table: StoredRelation, column: str) -> str | None:
    """pg_get_serial_sequence(): the sequence that belongs to a column, qualified."""
    attnums = {c.name: attnum for attnum, c in enumerate(table.columns, 1)}
    if column not in attnums:
        raise PgError(UNDEFINED_COLUMN, f'column "{column}" of relation "{table.name}" does not exist')
    for owned in session.database.catalog.owned(table.oid):
        if owned.kind == "sequence" and owned.owned_by == (table.oid, attnums[column]):
            return qualified(owned.schema, owned.name)
    return None


def qualified(schema: str, name: str) -> str:
    """A name with its schema as SQL text, quoted where it must be."""
    return f"{quoted(schema)}.{quoted(name)}"


def quoted(name: str) -> str:
    plain = (
        name.replace("_", "a").isalnum() and name == name.lower() and name[:1].isalpha() and name.isascii()
    )
    return name if plain else '"' + name.replace('"', '""') + '"'
