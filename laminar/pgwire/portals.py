"""Prepared statements and portals of one connection, by name.

PREPARE and Parse make the same statements, DECLARE and Bind the same portals: what one makes the other runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from laminar import errors
from laminar.errors import PgError
from laminar.pgwire.cursor import RowCursor

if TYPE_CHECKING:
    import pyarrow as pa

    from laminar.pgwire.backend import Field, Prepared, Result
    from laminar.pgwire.rows import RowSender

_UNDEFINED_STATEMENT: Final = "26000"
_DUPLICATE_CURSOR: Final = "42P03"


@dataclass(slots=True)
class Statement:
    """What Parse or PREPARE made; ``prepared`` is None for an empty query.

    Args:
        sql: the statement's text, and whether SQL (PREPARE) made it.
        created: microseconds since 1970.
    """

    prepared: Prepared | None
    sql: str = ""
    from_sql: bool = False
    created: int = 0

    @property
    def param_oids(self) -> list[int]:
        return [p.oid for p in self.prepared.param_types] if self.prepared else []

    @property
    def fields(self) -> Sequence[Field] | None:
        return self.prepared.fields if self.prepared else None


@dataclass(slots=True)
class Portal:
    """A statement with parameters, and its result once it runs.

    Args:
        fields: columns of its rows; None when it has none.
        hold: WITH HOLD: outlives the transaction that made it, if that commits.
        binary: DECLARE BINARY: simple query gives its rows in binary.
        declared: made by DECLARE, so that it is a cursor for FETCH of which Execute may take part.
    """

    prepared: Prepared | None
    params: list[pa.Scalar | None]
    formats: Sequence[int]
    fields: Sequence[Field] | None
    sql: str = ""
    result: Result | None = None
    cursor: RowCursor | None = None
    sender: RowSender | None = None
    hold: bool = False
    binary: bool = False
    scroll: bool | None = None
    declared: bool = False
    created: int = 0
    #: its rows are in memory and belong to no transaction
    held: bool = False
    #: when it was made among the connection's portals
    number: int = field(default=0)

    async def close(self) -> None:
        if self.cursor is not None:
            await self.cursor.close()


class Statements(dict[str, Statement]):
    """Prepared statements by name; "" is the protocol's unnamed one."""

    def find(self, name: str) -> Statement:
        """Raises 26000 for an unknown name."""
        try:
            return self[name]
        except KeyError:
            what = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise PgError(_UNDEFINED_STATEMENT, f"{what} does not exist") from None

    def add(self, name: str, statement: Statement, limit: int) -> None:
        """Raises 42P05 when the name is taken, 53400 when there are too many."""
        self.check_free(name)
        check_room(self, name, limit)
        self[name] = statement

    def check_free(self, name: str) -> None:
        if name and name in self:
            raise PgError(errors.DUPLICATE_PREPARED_STATEMENT, f'prepared statement "{name}" already exists')

    def forget(self, name: str | None) -> None:
        """DEALLOCATE: the statement of that name, or all."""
        if name is None:
            self.clear()
        elif self.pop(name, None) is None:
            raise PgError(_UNDEFINED_STATEMENT, f'prepared statement "{name}" does not exist')


class Portals(dict[str, Portal]):
    """Portals by name; "" is the protocol's unnamed one."""

    def __init__(self) -> None:
        super().__init__()
        self._made = 0
        #: the one that runs: nothing closes it meanwhile
        self.running: str | None = None

    def find(self, name: str, what: str = "portal") -> Portal:
        """Raises 34000 for an unknown name."""
        try:
            return self[name]
        except KeyError:
            raise PgError(errors.INVALID_CURSOR_NAME, f'{what} "{name}" does not exist') from None

    def add(self, name: str, portal: Portal, limit: int) -> None:
        """Raises 42P03 when the name is taken, 53400 when there are too many."""
        self.check_free(name)
        check_room(self, name, limit)
        self._made += 1
        portal.number = self._made
        self[name] = portal

    def check_free(self, name: str) -> None:
        if name and name in self:
            raise PgError(_DUPLICATE_CURSOR, f'cursor "{name}" already exists')

    @property
    def mark(self) -> int:
        """For :meth:`close_since`: the portals made so far."""
        return self._made

    async def drop(self, name: str) -> None:
        """Close a portal, if there is one of that name."""
        portal = self.pop(name, None)
        if portal is not None:
            await portal.close()

    async def clear_all(self) -> None:
        """The connection ends, or CLOSE ALL and DISCARD ALL."""
        for name in [n for n in self if n != self.running]:
            await self.drop(name)

    async def persist(self) -> None:
        """The transaction is about to commit: cursors WITH HOLD take their rows into memory."""
        for portal in list(self.values()):
            if portal.hold and not portal.held and portal.cursor is not None:
                await portal.cursor.read_all()
                portal.held = True

    async def end_transaction(self) -> None:
        """It has ended: what is not held goes."""
        for name in [n for n, p in self.items() if not p.held and n != self.running]:
            await self.drop(name)

    async def close_since(self, mark: int) -> None:
        """ROLLBACK TO SAVEPOINT: portals made after it go."""
        for name in [n for n, p in self.items() if p.number > mark and not p.held]:
            await self.drop(name)


def check_room(held: dict[str, Statement] | dict[str, Portal], name: str, limit: int) -> None:
    """Raises 53400 when a connection has too many of them."""
    if name and len(held) >= limit:
        raise PgError(
            errors.CONFIGURATION_LIMIT_EXCEEDED,
            f"too many prepared statements or portals (limit {limit})",
            hint="Close those that are no longer needed.",
        )
