"""What the protocol needs from the database: one Backend per session.

The protocol module knows no SQL and no policy; the session (laminar.server.session)
implements these. All errors are PgError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import pyarrow as pa

from laminar.errors import PgError
from laminar.pgwire.portals import Portals, Statements
from laminar.types import PgType


@dataclass(frozen=True, slots=True)
class Field:
    """A result column as RowDescription tells it."""

    name: str
    type: PgType
    table_oid: int = 0
    attnum: int = 0


class CopySink(Protocol):
    """Where the rows of COPY FROM STDIN go; all or nothing."""

    #: column names (for error context), types in the order of the data, relation name
    relation: str
    names: Sequence[str]
    types: Sequence[PgType]

    async def write(self, batch: pa.RecordBatch) -> None:
        """Take rows (storage types of ``types``); may wait (backpressure)."""

    async def finish(self) -> str:
        """Commit (unless in a transaction block); returns the command tag."""

    async def abort(self, reason: str) -> None:
        """Forget all of it (CopyFail, malformed row, disconnect)."""


@dataclass(slots=True)
class CopyOptions:
    """Options of COPY, validated by the session (PostgreSQL, COPY)."""

    format: Literal["text", "csv", "binary"] = "text"
    delimiter: str = "\t"
    null: str = "\\N"
    header: Literal["false", "true", "match"] = "false"
    quote: str = '"'
    escape: str = '"'
    force_quote: frozenset[int] | Literal["*"] = frozenset()
    force_not_null: frozenset[int] = frozenset()
    force_null: frozenset[int] = frozenset()
    encoding: str = "UTF8"


@dataclass(slots=True)
class Result:
    """What one statement gave.

    Exactly one of these holds: ``rows`` (a row set, possibly endless as for SUBSCRIBE),
    ``copy_in``, or neither (``tag`` alone). ``copy_out`` says that ``rows`` go out as COPY.
    ``tag`` may be a function of the number of rows sent, for SELECT and COPY.
    """

    tag: str
    fields: Sequence[Field] | None = None
    rows: AsyncIterator[pa.RecordBatch] | None = None
    copy_in: CopySink | None = None
    copy_out: CopyOptions | None = None
    copy_options: CopyOptions | None = None
    #: append the row count to the tag when rows have been sent ("SELECT" -> "SELECT 5")
    counts_rows: bool = False
    #: simple query sends the rows in binary (FETCH from a binary cursor)
    binary: bool = False
    notices: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Notice:
    severity: Literal["DEBUG", "LOG", "INFO", "NOTICE", "WARNING"]
    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None


class Client(Protocol):
    """The other way: what the session may tell its client at any time."""

    #: as pg_backend_pid() and pg_stat_activity show it
    process_id: int

    def notice(self, notice: Notice) -> None:
        """Send a notice now (those of a finished statement belong into its Result)."""

    def notify(self, process_id: int, channel: str, payload: str) -> None:
        """Send what LISTEN waits for."""

    #: prepared statements and portals (cursors) of the connection, and how many of each there may be
    statements: Statements
    portals: Portals

    @property
    def limit(self) -> int: ...

    def terminate(self, error: PgError) -> None:
        """End the connection: at once when it is idle, else after the statement that runs is cancelled."""


class Shortcut(Protocol):
    """A query that is usually answered within a turn of the event loop: a look-up by key."""

    writes: Literal[False]

    @property
    def fields(self) -> Sequence[Field]: ...

    #: RowDescription messages that the protocol has made of ``fields``, by format
    descriptions: dict[bytes, bytes]

    def rows(
        self, values: Sequence[bytes | None], formats: Sequence[int], result_formats: Sequence[int]
    ) -> tuple[bytes, int] | None:
        """DataRow messages and how many; None when the statement has to go the ordinary way: because of
        its parameters, of what the session is doing, or because it would have to wait.

        Args:
            values, formats: the parameters as Bind has them, a format for each.
            result_formats: a format for each column.
        """


@dataclass(frozen=True, slots=True)
class Written:
    """What a :class:`RowWrite` did.

    Args:
        tag: of the command.
        durable: completes when the client may be told; None: at once.
    """

    tag: str
    durable: asyncio.Future[None] | None = None


class RowWrite(Protocol):
    """A statement that writes one row and is usually accepted within a turn of the event loop."""

    writes: Literal[True]
    #: none
    fields: Sequence[Field]

    def start(self, values: Sequence[bytes | None], formats: Sequence[int]) -> Written | None:
        """Accept the statement as a transaction of its own; None when it has to go the ordinary way, as for
        :meth:`Shortcut.rows`: then it has changed nothing. Arguments as there."""


class Prepared(Protocol):
    """A parsed and bound statement."""

    @property
    def shortcut(self) -> Shortcut | RowWrite | None:
        """None when there is none."""

    @property
    def param_types(self) -> Sequence[PgType]:
        """Types of $1.. as inferred."""

    @property
    def fields(self) -> Sequence[Field] | None:
        """None when it returns no rows."""


class Backend(Protocol):
    """One session of the database."""

    @property
    def settings(self) -> dict[str, str]:
        """Session settings as PostgreSQL names them (DateStyle, TimeZone, IntervalStyle, ...).

        Those of REPORT kind (constants.REPORTED_SETTINGS: server_version among them) are sent by the
        protocol as ParameterStatus at start-up and when they change.
        """

    @property
    def transaction_status(self) -> Literal["I", "T", "E"]:
        """As ReadyForQuery reports it."""

    def split(self, script: str) -> list[str]:
        """Cut a simple-query string into statements; raises 42601. [] for an empty string."""

    async def prepare(self, sql: str, param_types: Sequence[int]) -> Prepared:
        """Parse and bind one statement; oid 0 means: infer."""

    def lifted(self, sql: bytes) -> tuple[Shortcut | RowWrite, Sequence[bytes | None]] | None:
        """A simple query as a shortcut and its constants in text form; None when it is none."""

    async def execute(self, prepared: Prepared, params: Sequence[pa.Scalar | None]) -> Result:
        """Run it; params have the storage types of ``param_types``."""

    def wire_form(self, pg_type: PgType, values: pa.Array, text: bool) -> pa.Array:
        """Values that need the catalog or another type's form as what is sent, strings or
        bytes; nulls stay null.

        Text forms of regclass, regtype and regproc values: the object's name, qualified when not in the
        search path, or the number for what is not there. Both forms of rows."""

    def read_value(self, pg_type: PgType, value: bytes, text: bool) -> pa.Scalar:
        """A parameter of a type that native code does not know; raises what the type's input does."""

    async def begin_implicit(self, script: bool = False) -> None:
        """Start the implicit transaction of a simple-query string with several statements (``script``)
        or of an extended-protocol pipeline (before its first Execute). Inside a transaction
        block it changes nothing."""

    def idle(self) -> None:
        """The client is about to be told that the server is ready: notifications are sent, time-outs of
        idle sessions start."""

    def busy(self) -> None:
        """A message of the client has come."""

    async def sync(self) -> None:
        """End it: commit, or roll back after an error (:meth:`fail`). A transaction block stays open.
        Raises PgError when the commit fails."""

    def fail(self) -> None:
        """A statement failed: an open transaction block becomes failed."""

    def cancel(self) -> None:
        """Stop what runs: ``execute`` or the rows of its result then raise 57014 soon. Called from
        another connection's CancelRequest, when the client has gone, and at shutdown; nothing
        happens when nothing runs."""

    async def close(self) -> None:
        """The client is gone: roll back, free everything."""


class Authenticator(Protocol):
    """Decides how a user is to prove itself."""

    def method(self, user: str, database: str, peer: str, tls: bool) -> Literal["trust", "scram", "reject"]:
        """For "reject" the protocol answers 28000."""

    def scram_verifier(self, user: str) -> str | None:
        """PostgreSQL's stored form ``SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey``, or None
        (the exchange is then carried out against a made-up verifier, so that names don't leak)."""

    async def open(
        self, user: str, database: str, options: dict[str, str], peer: str, client: Client
    ) -> Backend:
        """Make the session; raises 3D000 for an unknown database, 53300 when full, ...

        ``options`` are the settings the client asked for at start-up (``application_name``,
        ``client_encoding``, those of ``options=-c name=value``); unknown ones are the session's to refuse.
        """
