"""The connector contract: what a source and a sink are to the engine.

A source is described by a :class:`SourceSpec`, plain data that goes to the reactors.
The server checks it when the statement is issued and enumerates its partitions;
reactors open a :class:`SourceReader` over the partitions they were given. README.md
in this folder has the rules a connector keeps.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import pyarrow as pa

from laminar.connectors.options import Option, bad_option, type_label
from laminar.connectors.rejected import Rejected
from laminar.errors import DATATYPE_MISMATCH, UNDEFINED_COLUMN, PgError
from laminar.sql.plan import Expr
from laminar.types import PgType

#: connector name -> module with ``SOURCE`` and/or ``SINK``; imported when first used
_MODULES: Final = {
    "blackhole": "laminar.connectors.blackhole",
    "datagen": "laminar.connectors.datagen",
    "file": "laminar.connectors.file",
    "nexmark": "laminar.connectors.nexmark",
    "postgres": "laminar.connectors.postgres",
}


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A physical column of a source, in the order of the relation's attributes."""

    name: str
    type: PgType
    not_null: bool = False


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source as declared: WITH options, the FORMAT clause and the physical columns.

    Computed columns and those that INCLUDE names are not among ``columns``.
    ``watermark`` is the index in ``columns`` of the watermarked one, or None.
    """

    connector: str
    options: tuple[tuple[str, str], ...]
    columns: tuple[SourceColumn, ...] = ()
    watermark: int | None = None
    #: FORMAT … ENCODE … as ("plain", "json"); None when the clause is absent
    format: tuple[str, str] | None = None

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, c.type.storage) for c in self.columns])


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What a dataflow wants of a source.

    Args:
        columns: indexes into ``SourceSpec.columns``, in the order wanted.
        filter: may be used to skip rows that cannot satisfy it; need not be applied exactly.
        filter_columns: id of each ColumnRef in ``filter`` -> index into ``SourceSpec.columns``.
        includes: names out of ``SourceConnector.includes``: what else of each row, behind the columns.
        rejects: somebody takes ``SourceReader.rejected``.
    """

    columns: tuple[int, ...]
    filter: Expr | None = None
    filter_columns: Mapping[int, int] = field(default_factory=dict)
    includes: tuple[str, ...] = ()
    rejects: bool = False


class SourceReader(Protocol):
    """Reads partitions in one reactor; not thread-safe.

    Reading is deterministic: from a position, always the same rows in the same order,
    however they are cut into batches. Positions are integers that grow and row-exact: after
    ``read`` returned n rows, ``position`` is behind the n-th.
    """

    @property
    def rows_read(self) -> int:
        """Rows delivered since opening."""

    @property
    def bytes_read(self) -> int:
        """Bytes of the source that they took, as stored there."""

    @property
    def dropped(self) -> dict[str, int]:
        """Rows lost by reason ("malformed", "not_null")."""

    def rejected(self) -> list[Rejected]:
        """The rows that the reads since the last call have left out, when the request wants them."""

    def read(self, partition: str, max_rows: int, until: int | None = None) -> pa.RecordBatch | None:
        """Up to ``max_rows`` rows with the wanted columns and includes in storage types.

        Nothing beyond position ``until`` is read, unless it is skipped; a position that a reading of
        the partition has had, so its rows are there and no pace holds them back.

        None: nothing now (at the end, or more may come later). A batch of 0 rows: rows were
        skipped, call again. Raises PgError when the source cannot be read or, with
        ``on_error = 'fail'``, when a row is malformed.
        """

    def skipped(self, partition: str) -> int | None:
        """The largest value (microseconds) of the watermark column among rows that the last
        ``read`` jumped over *before* the rows it returned; None when there were none.

        When the watermark column was not asked for (see ``SourceConnector.tells_times``), also of
        rows that were returned, at the latest with the last one.
        """

    def position(self, partition: str) -> int | None:
        """Where the next read starts."""

    def seek(self, partition: str, position: int | None) -> None:
        """Continue from what ``position`` once gave; None is the start."""

    def finished(self, partition: str) -> bool:
        """Whether a bounded partition is at its end for good."""

    def close(self) -> None:
        """Release files and memory."""


class SourceConnector(Protocol):
    """A kind of source. Methods but ``open`` run in the server."""

    options: Mapping[str, Option]
    #: what INCLUDE can name (offset, partition, key, timestamp, headers), and of which type it is; with
    #: "tombstone", which no statement names: whether a row of an upsert source says that its key is gone
    includes: Mapping[str, PgType]

    def columns(self, spec: SourceSpec) -> tuple[SourceColumn, ...]:
        """The columns of a source declared without any, or when ``spec`` has some, those.

        Raises PgError: an unknown option or a bad value (22023), a declared column that
        the source does not have (42703) or has with another type (42804). This is the check
        to run at CREATE SOURCE.
        """

    def partitions(self, spec: SourceSpec) -> list[str]:
        """Names of the partitions there are now. Called again from time to time unless ``bounded``."""

    def bounded(self, spec: SourceSpec) -> bool:
        """Whether the list of partitions is complete and every partition ends."""

    def tells_times(self, spec: SourceSpec) -> bool:
        """Whether readers know event times through ``skipped`` without reading the column."""

    def open(self, spec: SourceSpec, request: ScanRequest) -> SourceReader:
        """A reader; partitions start at their beginning unless ``seek`` says otherwise."""


@dataclass(frozen=True, slots=True)
class SinkSpec:
    """A sink as declared and planned.

    Args:
        id: names it outside: no other sink of any server has the same.
        options: WITH options, sorted.
        columns: what its query shows.
        key: positions of the columns that identify a row; None when it takes hidden ones.
        append_only: rows are never taken back.
        format: FORMAT … ENCODE … as ("plain", "json"); None when the clause is absent.
    """

    id: str
    connector: str
    options: tuple[tuple[str, str], ...]
    columns: tuple[SourceColumn, ...]
    key: tuple[int, ...] | None = None
    append_only: bool = False
    format: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SinkBatch:
    """Changes of one epoch: the sink's columns in storage types, and weights.

    ``weights`` is an int64 numpy array, None when all are +1.
    """

    epoch: int
    batch: pa.RecordBatch
    weights: Any | None = None


class SinkTarget(Protocol):
    """Where a sink's changes go; used by one thread of the server at a time.

    README.md in this folder describes the contract, ``tests/connectors/sink_kit.py`` tests it.
    """

    def deliver(self, number: int, changes: Callable[[], Iterator[SinkBatch]]) -> None:
        """Make a delivery visible, all of it or nothing, and exactly once.

        Numbers grow. What was delivered before comes again after a crash, with the same number and
        the same changes in the same order; then nothing happens. Each call of ``changes`` gives them
        from the beginning.

        Raises PgError or whatever the target's library does: the delivery is tried again later.
        """

    def delivered(self) -> int:
        """The number of the newest delivery that is visible, even in part; 0 when there was none.

        Tells whether a server that was restored from a backup can go on.
        """

    def close(self) -> None:
        """Release connections and files; an unfinished delivery is undone or finished by the next."""


class SinkWriter(Protocol):
    """Writes a dataflow's changes in one reactor."""

    def write(self, batch: pa.RecordBatch, weights: Any | None) -> None:
        """Take changes; ``weights`` is an int64 numpy array, None when all are +1."""

    def barrier(self, epoch: int) -> None:
        """The epoch's changes are all there."""

    def stats(self) -> dict[str, int]:
        """Counters for ``laminar_catalog.sinks``; those of several reactors are combined by
        ``WritingSink.combine``."""

    def state(self) -> bytes:
        """What a checkpoint keeps."""

    def restore(self, state: bytes) -> None: ...

    def close(self) -> None: ...


class SinkConnector(Protocol):
    """A kind of sink: a ``DeliveringSink`` or a ``WritingSink``."""

    options: Mapping[str, Option]

    def check(self, spec: SinkSpec) -> None:
        """Raises PgError 22023, 0A000 for what cannot be honoured. Run at CREATE SINK."""


@runtime_checkable
class DeliveringSink(SinkConnector, Protocol):
    """A sink whose changes leave the server, exactly once."""

    def target(self, spec: SinkSpec) -> SinkTarget:
        """Open where the changes go, ready to take some.

        Also called at CREATE SINK, in a thread: what is wrong with the target is the statement's error.
        """

    def interval(self, spec: SinkSpec) -> float:
        """Seconds between deliveries while there are changes."""


@runtime_checkable
class WritingSink(SinkConnector, Protocol):
    """A sink inside the reactors, whose state is part of the checkpoint."""

    def open(self, spec: SinkSpec) -> SinkWriter:
        """A writer for one reactor."""

    def combine(self, stats: Sequence[dict[str, int]]) -> dict[str, int]:
        """Counters of the whole sink from those of each reactor's writer."""


@dataclass(frozen=True, slots=True)
class LookupSpec:
    """A lookup table as declared.

    Args:
        options: WITH options, sorted.
        columns: the declared ones.
        key: positions of the primary key's columns.
    """

    connector: str
    options: tuple[tuple[str, str], ...]
    columns: tuple[SourceColumn, ...]
    key: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LookupLimits:
    """How answers are kept and waited for.

    Args:
        ttl: microseconds for which an answer holds.
        size: answers that a join keeps for later rows.
        timeout: seconds after which an attempt is given up.
    """

    ttl: int
    size: int
    timeout: float


class LookupReader(Protocol):
    """Finds rows of a table outside by their keys; used by one thread at a time, but for ``abort``."""

    def fetch(self, keys: pa.RecordBatch) -> tuple[pa.Array, pa.RecordBatch]:
        """The rows with these keys.

        Args:
            keys: the key's columns in storage types, without nulls; no key comes twice.

        Returns:
            int64 positions in ``keys``, each at most once, and the rows with all declared columns.

        Raises PgError or whatever the library does: then it is tried again later, with another reader.
        """

    def abort(self) -> None:
        """Have a ``fetch`` that hangs in another thread fail soon."""

    def close(self) -> None:
        """Release the connection."""


class LookupConnector(Protocol):
    """What answers for lookup tables."""

    options: Mapping[str, Option]

    def limits(self, spec: LookupSpec) -> LookupLimits:
        """Checks the options; raises 22023."""

    def open(self, spec: LookupSpec) -> LookupReader:
        """A reader; called in a thread.

        Also at CREATE LOOKUP TABLE, so that what is wrong with the table is the statement's error.
        """


def lookup_connector(name: str) -> LookupConnector:
    """The connector ``name`` of lookup tables; 22023 when there is none."""
    found: LookupConnector = _find(name, "LOOKUP", "lookup")
    return found


def source_connector(name: str) -> SourceConnector:
    """The source connector ``name``; 22023 when there is none."""
    found: SourceConnector = _find(name, "SOURCE", "source")
    return found


def sink_connector(name: str) -> SinkConnector:
    """The sink connector ``name``; 22023 when there is none."""
    found: SinkConnector = _find(name, "SINK", "sink")
    return found


def _find(name: str, attribute: str, what: str) -> Any:
    module = _MODULES.get(name.lower())
    found = getattr(importlib.import_module(module), attribute, None) if module else None
    if found is None:
        known = [n for n, path in _MODULES.items() if hasattr(importlib.import_module(path), attribute)]
        hint = f"{what.capitalize()} connectors: {', '.join(known)}."
        raise bad_option(f'no {what} connector is named "{name}"', hint=hint)
    return found


def check_columns(declared: Sequence[SourceColumn], available: Sequence[SourceColumn], what: str) -> None:
    """Each declared column exists in ``available`` with the same type; 42703, 42804."""
    by_name = {c.name: c for c in available}
    for column in declared:
        actual = by_name.get(column.name)
        if actual is None:
            raise PgError(
                UNDEFINED_COLUMN,
                f'column "{column.name}" does not exist in {what}',
                hint=f"Columns: {', '.join(by_name)}.",
            )
        if actual.type.oid != column.type.oid:
            raise type_mismatch(column, type_label(actual.type), what)


def type_mismatch(column: SourceColumn, actual: str, what: str) -> PgError:
    """42804 for a declared column whose data is of another type."""
    return PgError(
        DATATYPE_MISMATCH,
        f'column "{column.name}" is of type {type_label(column.type)} but {what} has {actual}',
    )


__all__ = [
    "DeliveringSink",
    "LookupConnector",
    "LookupLimits",
    "LookupReader",
    "LookupSpec",
    "Option",
    "Rejected",
    "ScanRequest",
    "SinkBatch",
    "SinkConnector",
    "SinkSpec",
    "SinkTarget",
    "SinkWriter",
    "SourceColumn",
    "SourceConnector",
    "SourceReader",
    "SourceSpec",
    "WritingSink",
    "bad_option",
    "check_columns",
    "lookup_connector",
    "sink_connector",
    "source_connector",
    "type_label",
    "type_mismatch",
]
