"""Relations and dataflows as the engine knows them: storage, keys, watermarks, inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import pyarrow as pa

from laminar.connectors.base import LookupSpec, SourceSpec
from laminar.engine.nodes import Append, Input, Materialize, Node
from laminar.engine.serving import Layout
from laminar.sql.plan import Expr
from laminar.types import BOOL, INT8, PgType

#: attribute numbers of the hidden columns of stored relations
ROW_ID, ROW_WATERMARK = 0, -1
#: of a lookup table's answers: the epoch in which the key was asked for, whether there is a row, and the
#: key's columns as they were asked for, from ASKED_KEY downwards
ASKED_EPOCH, FOUND, ASKED_KEY = -2, -3, -4
#: attribute numbers of what is known of the rows that a connector source rejects: raw text, reason,
#: SQLSTATE, partition, position
REJECTED = (-11, -12, -13, -14, -15)


@dataclass(frozen=True, slots=True)
class ComputedColumn:
    """A column of a connector source that is computed from others.

    Args:
        expr: column ids are attribute numbers.
        inputs: those that it reads.
    """

    attnum: int
    name: str
    expr: Expr
    inputs: tuple[int, ...]
    not_null: bool = False


@dataclass(frozen=True, slots=True)
class RelationSpec:
    """A relation whose rows the engine stores or reads.

    Args:
        oid: its number, never used again for another relation.
        name: for messages.
        kind: ``table`` and ``source`` take commits; ``connector`` is read by the reactors;
            ``view`` is fed by the dataflow of the same number; of a ``lookup`` table the answers are
            logged as commits, and not kept.
        attnums: attribute numbers of the columns (all columns of a view's Materialize).
        types: their types.
        key: positions that identify a row; () when only the whole row does; None: the engine
            numbers the rows (hidden attribute 0).
        watermark: attribute number and delay in microseconds.
        append_only: rows are never updated or deleted.
        idle_timeout: microseconds without rows after which a partition of a connector source does not hold
            its watermark back; None: never.
        max_future: microseconds that an event time may be ahead of the clock; None: the engine's.
        source: what reads a connector source.
        included, computed: of a connector source, the columns that are not the data's own: (attribute number,
            what INCLUDE names), and those that are computed.
        rate_limit: rows per second that a connector source gives at most; None: any number.
        on_error: what happens when a computed column's expression fails: ``fail``, or the row is left out.
        lookup: what answers for a lookup table.
        kept: the rows are stored; of a stream only the changes go out.
        paused: a view whose rows stay as they are: no dataflow feeds it.
        retention, retention_bytes: seconds and bytes that a push source keeps; None for all.
    """

    oid: int
    name: str
    kind: Literal["table", "source", "connector", "view", "lookup"]
    attnums: tuple[int, ...]
    types: tuple[PgType, ...]
    key: tuple[int, ...] | None = None
    watermark: tuple[int, int] | None = None
    append_only: bool = False
    max_future: int | None = None
    idle_timeout: int | None = None
    source: SourceSpec | None = None
    included: tuple[tuple[int, str], ...] = ()
    computed: tuple[ComputedColumn, ...] = ()
    rate_limit: int | None = None
    on_error: str = "skip"
    lookup: LookupSpec | None = None
    retention: float | None = None
    retention_bytes: int | None = None
    kept: bool = True
    paused: bool = False

    @property
    def physical(self) -> tuple[int, ...]:
        """Attribute numbers of a connector source's own columns, in the order of ``SourceSpec.columns``."""
        other = {attnum for attnum, _ in self.included} | {column.attnum for column in self.computed}
        return tuple(attnum for attnum in self.attnums if attnum not in other)

    @property
    def stored_attnums(self) -> tuple[int, ...]:
        """Attribute numbers of the stored columns, hidden ones at the end."""
        if self.kind in ("view", "connector"):
            return self.attnums
        if self.kind == "lookup":
            return (*self.attnums, ASKED_EPOCH, FOUND, *asked_keys(len(self.key or ())))
        return (
            self.attnums
            + ((ROW_ID,) if self.key is None else ())
            + ((ROW_WATERMARK,) if self.watermark else ())
        )

    @property
    def stored_types(self) -> tuple[PgType, ...]:
        if self.kind == "lookup":
            keys = (self.types[i] for i in self.key or ())
            return (*self.types, PgType(INT8), PgType(BOOL), *keys)
        return self.types + (PgType(INT8),) * (len(self.stored_attnums) - len(self.types))

    @property
    def stored_key(self) -> tuple[int, ...]:
        """Positions among the stored columns that identify a row."""
        return self.key if self.key is not None else (self.stored_attnums.index(ROW_ID),)

    @property
    def layout(self) -> Layout:
        """How the serving store keeps the rows."""
        return Layout(self.stored_attnums, self.stored_types, self.stored_key)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the stored columns, named by attribute number."""
        return _schema(self.stored_attnums, self.stored_types)


def asked_keys(count: int) -> tuple[int, ...]:
    """Attribute numbers of a key's columns as they were asked for."""
    return tuple(ASKED_KEY - i for i in range(count))


@lru_cache(maxsize=1000)
def _schema(attnums: tuple[int, ...], types: tuple[PgType, ...]) -> pa.Schema:
    pairs = zip(attnums, types, strict=True)
    return pa.schema([pa.field(str(attnum), type_.storage) for attnum, type_ in pairs])


@dataclass(frozen=True, slots=True)
class DataflowSpec:
    """A dataflow: what one view or sink computes.

    Args:
        id: oid of the view or sink.
        root: its Materialize or Sink node.
        inputs: oids of the relations that it reads.
        kind: ``view`` or ``sink``.
        timezone: in which its expressions are evaluated.
        fingerprint: changes when the plan does, so that state of another plan is never taken up.
    """

    id: int
    root: Node
    inputs: tuple[int, ...]
    kind: Literal["view", "sink"] = "view"
    fingerprint: str = ""
    timezone: str = "UTC"

    @property
    def feeds(self) -> int | None:
        """The stored relation that has its rows: a view's own, the table that a sink fills, or none."""
        return self.root.relation if isinstance(self.root, Materialize) else None

    @property
    def outputs(self) -> tuple[int, ...]:
        """All stored relations whose rows it makes: what it feeds, and tables that get what it leaves out."""
        if isinstance(self.root, Append):
            return (self.root.relation,)
        if not isinstance(self.root, Materialize):
            return ()
        return (self.root.relation, *(append.relation for append in self.root.appends))


def children(node: Node) -> tuple[Node, ...]:
    """The inputs of a node, by port."""
    if isinstance(node, Input):
        return ()
    if isinstance(node, Materialize):
        return (node.input, *node.appends, *node.watches)
    single = getattr(node, "input", None)
    if single is not None:
        return (single,)
    inputs = getattr(node, "inputs", None)
    if inputs is not None:
        return tuple(inputs)
    return (node.left, node.right)  # type: ignore[union-attr]


def topological(root: Node) -> list[Node]:
    """All nodes, inputs before what reads them, each node id once."""
    order: dict[int, Node] = {}

    def visit(node: Node) -> None:
        if node.id in order:
            return
        for child in children(node):
            visit(child)
        order[node.id] = node

    visit(root)
    return list(order.values())


def in_dependency_order(dataflows: Iterable[DataflowSpec]) -> list[DataflowSpec]:
    """Those that others read first; the order of those that do not depend on each other stays."""
    flows = list(dataflows)
    feeding = {oid: flow for flow in flows for oid in flow.outputs}
    order: dict[int, DataflowSpec] = {}

    def visit(flow: DataflowSpec) -> None:
        if flow.id not in order:
            for oid in flow.inputs:
                if oid in feeding:
                    visit(feeding[oid])
            order[flow.id] = flow

    for flow in flows:
        visit(flow)
    return list(order.values())


def inputs_of(root: Node) -> Iterator[Input]:
    for node in topological(root):
        if isinstance(node, Input):
            yield node
